/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 2.0 over a stream, without the stream: cuts bytes into messages, judges them,
 * calls methods, makes the replies. Knows nothing of sockets or of what methods do.
 */
#ifndef SR_JSONRPC_H
#define SR_JSONRPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SR_RPC_MESSAGE_MAX (1u << 20) /* bytes of one message */
#define SR_RPC_BATCH_MAX   32u	      /* requests in one batch */

enum {
	SR_RPC_PARSE = -32700,
	SR_RPC_REQUEST = -32600,
	SR_RPC_METHOD = -32601,
	SR_RPC_PARAMS = -32602,
	SR_RPC_INTERNAL = -32603,
	SR_RPC_FAILED = -32000,	 /* tried, and the system said no: the text says why */
	SR_RPC_NO_SUCH = -32001, /* no port, disk or device of that name */
	SR_RPC_EXISTS = -32002,	 /* that name is taken */
	SR_RPC_TOO_BIG = -32003, /* message or batch over its limit */
	SR_RPC_IN_USE = -32004,	 /* others need it: the text names them */
};

struct sr_rpc_error {
	int code;
	char text[512];
};

/* Fills *e and returns NULL, so that a method can end in it. */
json_t *sr_rpc_fail(struct sr_rpc_error *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct sr_rpc_method {
	const char *name;
	/* `params` is an object, empty when none were given, and holds no other keys than
	 * those listed; all keys are checked before the call. Returns a new reference, or NULL with
	 * *e filled. */
	json_t *(*call)(void *ctx, const json_t *params, struct sr_rpc_error *e);
	const char *const *keys; /* allowed ones, up to NULL; NULL = none */
};

struct sr_rpc {
	const struct sr_rpc_method *methods;
	unsigned n;
	void *ctx;
};

/* The reply to one message with a newline at its end, to be freed, or NULL when there is
 * nothing to answer. */
char *sr_rpc_handle(const struct sr_rpc *rpc, const char *text, size_t len);

/* A reply that says what is wrong with a message that can't be looked at; to be freed. */
char *sr_rpc_refusal(int code, const char *text);

/*
 * Finds messages in a stream. A message ends where its outermost bracket closes or, when it
 * is not whole by then, with the line: so requests may follow each other with or without
 * newlines, and a broken one costs no more than its own line.
 */
struct sr_rpc_framer {
	size_t seen; /* bytes looked at */
	unsigned depth;
	bool begun, in_string, escaped, garbage;
};

/* `buf` is what follows the last message, and at least as long as at the last call. Returns
 * how many bytes the next message takes, white space before it included, or 0: not all there
 * yet. Found, the framer is ready for the rest. */
size_t sr_rpc_frame(struct sr_rpc_framer *f, const char *buf, size_t len);

#endif
