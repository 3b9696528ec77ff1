/* SPDX-License-Identifier: BSD-3-Clause */
#include "keys.h"
#include "base.h"

#include <slipring/loop.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int refuse(struct sr_fault *fault, const char *got, const char *expected)
{
	snprintf(fault->text, sizeof(fault->text), "got '%.100s', expected %s", got, expected);
	return -EINVAL;
}

/* Whole text, digits only: no sign, space or prefix. -1 when it is not a number <= max. */
static int64_t number(const char *text, int base, uint32_t max)
{
	char *end;
	unsigned long v;

	if (!isdigit((unsigned char)text[0]) || strlen(text) > 12)
		return -1;
	for (const char *c = text; *c; c++)
		if (!isdigit((unsigned char)*c))
			return -1;
	v = strtoul(text, &end, base);
	return *end || v > max ? -1 : (int64_t)v;
}

static int store_number(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault)
{
	char expected[64];
	int64_t v = number(text, 10, k->max);

	snprintf(expected, sizeof(expected), "a number from %u to %u", k->min, k->max);
	if (v < (int64_t)k->min)
		return refuse(fault, text, expected);
	if (k->kind == SR_KEY_U16)
		*(uint16_t *)to = (uint16_t)v;
	else
		*(uint32_t *)to = (uint32_t)v;
	return 0;
}

/* Digits and at most one letter of K, M, G or T, powers of 1024. */
static int store_size(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault)
{
	static const char units[] = "KMGT";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] ? strchr(units, text[digits]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	uint64_t v = digits && digits < 19 ? strtoull(text, NULL, 10) : UINT64_MAX;
	char expected[96];

	if (v == UINT64_MAX || text[digits + (unit ? 1 : 0)] || v > (uint64_t)INT64_MAX >> shift ||
	    v << shift < k->min) {
		snprintf(expected, sizeof(expected),
			 "a whole number of bytes%s such as 4096, 64K, 20M, 10G or 1T",
			 k->min ? ", more than 0," : "");
		return refuse(fault, text, expected);
	}
	*(uint64_t *)to = v << shift;
	return 0;
}

static int store_bool(void *to, const char *text, struct sr_fault *fault)
{
	static const char *const words[] = { "off", "on", "false", "true", "no", "yes" };

	for (unsigned i = 0; i < SR_ARRAY_LEN(words); i++) {
		if (!strcmp(words[i], text)) {
			*(bool *)to = i & 1;
			return 0;
		}
	}
	return refuse(fault, text, "on or off");
}

static int store_share(void *to, const char *text, struct sr_fault *fault)
{
	bool plain = *text && strspn(text, "0123456789.") == strlen(text) && strlen(text) < 20;
	char *end = NULL;
	double v = plain ? strtod(text, &end) : -1;

	if (!plain || *end || v > 1)
		return refuse(fault, text, "a share from 0 to 1 such as 0.05");
	*(double *)to = v;
	return 0;
}

static int store_octal(void *to, const char *text, struct sr_fault *fault)
{
	int64_t v = number(text, 8, 0777);

	if (v <= 0)
		return refuse(fault, text, "permissions in octal such as 0660");
	*(unsigned *)to = (unsigned)v;
	return 0;
}

void sr_words_list(const char *const *words, const char *after, char *to, size_t size)
{
	to[0] = '\0';
	for (unsigned i = 0; words[i]; i++) {
		size_t used = strlen(to);
		const char *comma = !i ? "" : words[i + 1] ? ", " : " or ";

		snprintf(to + used, size - used, "%s%s%s", comma, words[i], after);
	}
}

static int store_word(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault)
{
	char expected[128];

	for (unsigned i = 0; k->words[i]; i++) {
		if (!strcmp(k->words[i], text)) {
			*(unsigned *)to = i;
			return 0;
		}
	}
	sr_words_list(k->words, "", expected, sizeof(expected));
	return refuse(fault, text, expected);
}

static bool is_name(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._:@+-", *c))
			return false;
	return text[0] && text[0] != '-';
}

static int store_text(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault)
{
	char expected[128];
	size_t len = strlen(text);

	if (k->kind == SR_KEY_NAME && (!is_name(text) || len > k->max)) {
		snprintf(expected, sizeof(expected),
			 "1 to %u letters, digits or . _ : @ + -, not - first", k->max);
		return refuse(fault, text, expected);
	}
	if (len < k->min || len > k->max) {
		snprintf(expected, sizeof(expected), "%u to %u bytes of text", k->min, k->max);
		return refuse(fault, text, expected);
	}
	memcpy(to, text, len + 1);
	return 0;
}

static int store_mac(void *to, const char *text, struct sr_fault *fault)
{
	static const char shape[] = "xx:xx:xx:xx:xx:xx";
	static const uint8_t zero[6];
	uint8_t mac[6];
	bool ok = strlen(text) == sizeof(shape) - 1;

	for (unsigned i = 0; ok && i < sizeof(shape) - 1; i++)
		ok = shape[i] == ':' ? text[i] == ':' : isxdigit((unsigned char)text[i]);
	for (unsigned i = 0; ok && i < 6; i++)
		mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	if (!ok || (mac[0] & 1) || !memcmp(mac, zero, 6))
		return refuse(fault, text, "a unicast address such as 52:54:00:12:34:56");
	memcpy(to, mac, 6);
	return 0;
}

static int add_cpus(struct sr_cpus *c, const char *piece)
{
	char first[16];
	const char *dash = strchr(piece, '-');
	size_t len = dash ? (size_t)(dash - piece) : strlen(piece);
	int64_t from, to;

	if (len >= sizeof(first))
		return -EINVAL;
	memcpy(first, piece, len);
	first[len] = '\0';
	from = number(first, 10, SR_CPU_NUMBER_MAX);
	to = dash ? number(dash + 1, 10, SR_CPU_NUMBER_MAX) : from;
	if (from < 0 || to < from)
		return -EINVAL;
	for (; from <= to; from++) {
		if (c->n == SR_CPUS_MAX)
			return -EINVAL;
		c->cpu[c->n++] = (int)from;
	}
	return 0;
}

static int store_cpus(void *to, const char *text, struct sr_fault *fault)
{
	static const char expected[] = "up to 64 CPU numbers such as 0,2-3";
	struct sr_cpus c = { 0 };
	char copy[512], *rest = copy, *piece;

	if (!*text || strlen(text) >= sizeof(copy))
		return refuse(fault, text, expected);
	strcpy(copy, text);
	while ((piece = strsep(&rest, ",")))
		if (add_cpus(&c, piece))
			return refuse(fault, text, expected);
	*(struct sr_cpus *)to = c;
	return 0;
}

static int store_poll_us(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault)
{
	char expected[64];
	int64_t v = strcmp(text, "busy") ? number(text, 10, k->max) : (int64_t)SR_POLL_ALWAYS;

	snprintf(expected, sizeof(expected), "busy or a number of microseconds from 0 to %u",
		 k->max);
	if (v < 0)
		return refuse(fault, text, expected);
	*(uint32_t *)to = (uint32_t)v;
	return 0;
}

int sr_key_store(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault)
{
	void *at = (char *)to + k->offset;

	switch (k->kind) {
	case SR_KEY_U16:
	case SR_KEY_U32:
		return store_number(k, at, text, fault);
	case SR_KEY_SIZE:
		return store_size(k, at, text, fault);
	case SR_KEY_BOOL:
		return store_bool(at, text, fault);
	case SR_KEY_SHARE:
		return store_share(at, text, fault);
	case SR_KEY_OCTAL:
		return store_octal(at, text, fault);
	case SR_KEY_WORD:
		return store_word(k, at, text, fault);
	case SR_KEY_NAME:
	case SR_KEY_TEXT:
		return store_text(k, at, text, fault);
	case SR_KEY_MAC:
		return store_mac(at, text, fault);
	case SR_KEY_CPUS:
		return store_cpus(at, text, fault);
	case SR_KEY_POLL_US:
		return store_poll_us(k, at, text, fault);
	}
	return -EINVAL;
}

int sr_key_find(const struct sr_key *keys, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(keys[i].name, name))
			return (int)i;
	return -1;
}
