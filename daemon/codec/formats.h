/* SPDX-License-Identifier: MIT */
/*
 * The rows that codec.c puts into its table, one a format. Only codec.c and the files of the formats include it.
 */
#pragma once

#include "codec.h"

extern const struct codec_ops codec_zlib; /* zlib.c, RFC 1950 */
extern const struct codec_ops codec_gzip; /* zlib.c, RFC 1952 */
