/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the fuzz targets: the input as a stream of small values. Past its end everything is 0,
 * so that an input of any length is a whole scenario and shorter ones stay meaningful.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include "base.h"

#include <slipring/log.h>
#include <stdio.h>
#include <stdlib.h>

struct input {
	const uint8_t *at, *end;
};

static inline bool input_more(const struct input *in)
{
	return in->at < in->end;
}

static inline void input_bytes(struct input *in, void *to, size_t len)
{
	size_t n = sr_min(len, (size_t)(in->end - in->at));

	memcpy(to, in->at, n);
	memset((uint8_t *)to + n, 0, len - n);
	in->at += n;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint64_t input_u64(struct input *in)
{
	uint64_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

/* What must hold whatever the input is; libFuzzer keeps the input that ends here. */
#define MUST(condition)                                                                   \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                              \
			abort();                                                          \
		}                                                                         \
	} while (0)

static inline void quiet(void *ctx, enum sr_log_level level, const char *subject, const char *text)
{
	(void)ctx;
	(void)level;
	(void)subject;
	(void)text;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
