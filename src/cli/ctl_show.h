/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon's answers for people. */
#ifndef SR_CTL_SHOW_H
#define SR_CTL_SHOW_H

#include <jansson.h>
#include <stdio.h>

void sr_show_ports(const json_t *list, FILE *to);
void sr_show_port(const json_t *port, FILE *to);
void sr_show_macs(const json_t *list, FILE *to);
void sr_show_version(const json_t *v, FILE *to);

/* ctl_show_storage.c */
void sr_show_disks(const json_t *list, FILE *to);
void sr_show_disk(const json_t *disk, FILE *to);
void sr_show_size(const json_t *disk, FILE *to);
void sr_show_devices(const json_t *list, FILE *to);
void sr_show_device(const json_t *device, FILE *to);
void sr_show_device_rates(const json_t *before, const json_t *now, double seconds, FILE *to);

/* What has changed in `seconds` between two answers of port.list, a second. */
void sr_show_rates(const json_t *before, const json_t *now, double seconds, FILE *to);

#endif
