/* SPDX-License-Identifier: BSD-3-Clause */
/* Events for a front-end that we do not trust. Inside of the room only. */
#ifndef SR_VU_SIGNAL_H
#define SR_VU_SIGNAL_H

#include <stdbool.h>

/* An event to a file descriptor of the front-end's: eventfd or socket. From any thread; never
 * waits (vu_signal.c names the one exception), never raises SIGPIPE. */
void sr_session_signal(int fd, bool is_socket);

#endif
