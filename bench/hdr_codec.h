/*
 * hdr_codec.h - a histogram as text: HdrHistogram's V2 encoding, compressed, in base64. It
 * begins "HISTF", stands in histogram logs and in our documents, and any HdrHistogram reads
 * it.
 *
 *     base64 of   0x1c849314, length, zlib stream of
 *                 0x1c849313, length of the counts, normalizing offset 0, 3 digits,
 *                 lowest 1, highest, ratio 1.0, counts
 *
 * all big-endian; counts are ZigZag LEB128 of at most nine bytes, a run of n noughts is -n.
 * What the format has no place for (the exact minimum, maximum and sum, and how many were
 * clamped) is the caller's to keep beside it.
 */
#ifndef PREFORK_BENCH_HDR_CODEC_H
#define PREFORK_BENCH_HDR_CODEC_H

#include "bench/hdr.h"
#include <stddef.h>

/* No longer text is decoded: the longest that hdr_encode() can make, with room to spare. */
#define HDR_TEXT_MAX (512 * 1024)

/* Returns 0 with *out a string to be freed, or -ENOMEM. */
int hdr_encode(const struct hdr *hdr, char **out);

/*
 * Returns 0 and fills in *out: slots and count as they were encoded; minimum, maximum and
 * sum as near as the slots tell (the ends of the outermost ones, their middles), clamped 0.
 * Or -ENOMEM, or -EINVAL with a phrase in `why`: not this format, or a histogram laid out
 * otherwise; *out is undefined then.
 */
int hdr_decode(const char *text, struct hdr *out, char *why, size_t why_len);

#endif
