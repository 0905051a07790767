/* SPDX-License-Identifier: MIT */
/*
 * What compression saves, beside its name: of a flow, or of a listener's counters.
 */
#pragma once

#include <jansson.h>

#define RATIO_TEXT_MAX 64

/* "gzip:6 4.1x": the coding and the payload bytes for each byte on the wire, from "rx_bytes" and "rx_payload_bytes" of
 * `numbers` (direction "tx": tx_bytes, ...). The coding alone if it is "off" or nothing has moved. Returns `buf`. */
const char *ratio_format(const char *coding, const json_t *numbers, const char *direction,
                         char buf[static RATIO_TEXT_MAX]);
