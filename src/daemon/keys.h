/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A setting is a row of a table: its name, the kind of its value, where it is stored and
 * what is expected. The command line, the YAML file and the control socket all bring text
 * under a name; this is the one place where that text is judged and stored, so that the
 * three accept the same and say the same when they don't.
 */
#ifndef SR_KEYS_H
#define SR_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum sr_key_kind {
	SR_KEY_U16,	/* number from min to max into uint16_t */
	SR_KEY_U32,	/* the same into uint32_t */
	SR_KEY_SIZE,	/* bytes, such as 4096, 64K or 10G, from min on, into uint64_t */
	SR_KEY_BOOL,	/* on, off, true, false, yes or no into bool */
	SR_KEY_SHARE,	/* 0 to 1, such as 0.05, into double */
	SR_KEY_OCTAL,	/* permission bits into unsigned, written as 0660 */
	SR_KEY_WORD,	/* one of `words` into unsigned: its index */
	SR_KEY_NAME,	/* text for log lines and tables: letters, digits and . _ : @ + - */
	SR_KEY_TEXT,	/* any text of min to max bytes into char[max + 1] */
	SR_KEY_MAC,	/* unicast MAC address into uint8_t[6] */
	SR_KEY_CPUS,	/* "0,2-3" into struct sr_cpus */
	SR_KEY_POLL_US, /* "busy" or a number into uint32_t */
};

#define SR_CPUS_MAX	  64u
#define SR_CPU_NUMBER_MAX 4095u

struct sr_cpus {
	unsigned n;
	int cpu[SR_CPUS_MAX];
};

struct sr_key {
	const char *name;
	enum sr_key_kind kind;
	size_t offset; /* in the structure that holds it */
	uint32_t min, max;
	const char *const *words;
	const char *section; /* of the YAML file; NULL = top level or not a setting */
	unsigned uses;	     /* who knows this key, in bits that the table's owner defines */
	unsigned needs;	     /* who cannot do without it */
	const char *arg;     /* placeholder for help: "PATH" */
	const char *help;
};

#define SR_FAULT_TEXT 480

/* What is wrong with one value; its owner knows how that value's place is called. */
struct sr_fault {
	int key;		  /* index in the table; -1 = none of them */
	char text[SR_FAULT_TEXT]; /* "got 'x', expected server or client" */
};

/* Stores `text` into the structure `to`. 0, or -EINVAL with fault->text filled. */
int sr_key_store(const struct sr_key *k, void *to, const char *text, struct sr_fault *fault);

/* Where `name` is in the table, or -1. */
int sr_key_find(const struct sr_key *keys, unsigned n, const char *name);

/* "a, b or c", with `after` behind each. */
void sr_words_list(const char *const *words, const char *after, char *to, size_t size);

#endif
