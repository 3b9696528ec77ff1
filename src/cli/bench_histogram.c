/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times in buckets whose width grows with the value: 64 to each power of two, so that a
 * percentile is right within 1/64 whatever the scale, in a fixed 15 KiB.
 */
#include "base.h"
#include "bench.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned power, last = SR_ARRAY_LEN(((struct bench_times *)0)->buckets) - 1;

	if (ns < 2 * BENCH_TIME_STEPS)
		return (unsigned)ns;
	power = 63 - (unsigned)__builtin_clzll(ns) - 6; /* ns >> power lies in [64, 128) */
	return (unsigned)sr_min(power * BENCH_TIME_STEPS + (ns >> power), last);
}

/* The largest value of a bucket. */
static uint64_t bucket_top(unsigned b)
{
	unsigned power;

	if (b < 2 * BENCH_TIME_STEPS)
		return b;
	power = b / BENCH_TIME_STEPS - 1;
	return ((uint64_t)(b % BENCH_TIME_STEPS + BENCH_TIME_STEPS + 1) << power) - 1;
}

void bench_times_add(struct bench_times *t, uint64_t ns)
{
	t->buckets[bucket_of(ns)]++;
	t->count++;
	t->sum += ns;
	t->max = sr_max(t->max, ns);
}

uint64_t bench_times_percentile(const struct bench_times *t, double percent)
{
	double want = (double)t->count * percent / 100;
	uint64_t seen = 0;

	for (unsigned b = 0; b < SR_ARRAY_LEN(t->buckets); b++) {
		seen += t->buckets[b];
		if (seen && (double)seen >= want)
			return sr_min(bucket_top(b), t->max);
	}
	return t->max;
}

void bench_times_merge(struct bench_times *t, const struct bench_times *more)
{
	for (unsigned b = 0; b < SR_ARRAY_LEN(t->buckets); b++)
		t->buckets[b] += more->buckets[b];
	t->count += more->count;
	t->sum += more->sum;
	t->max = sr_max(t->max, more->max);
}

uint64_t bench_times_between(const struct bench_times *t, uint64_t from, uint64_t to)
{
	uint64_t sum = 0;

	for (unsigned b = 0; b < SR_ARRAY_LEN(t->buckets); b++)
		if (bucket_top(b) >= from && bucket_top(b) < to)
			sum += t->buckets[b];
	return sum;
}
