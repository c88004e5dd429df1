/* Histograms as text: the bytes that HdrHistogram's V2 encoding has, what comes back of
 * them, and texts that are none. */
#include "tests/lib/test.h"

#include "bench/hdr_codec.h"
#include <errno.h>
#include <prefork/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Large: kept off the stack. */
static struct hdr a, b;
static char why[128];

static void assert_same_slots(const struct hdr *x, const struct hdr *y)
{
    assert_int_equal(x->count, y->count);
    assert_memory_equal(x->slots, y->slots, sizeof x->slots);
}

static void round_trip(void)
{
    char *text, *again;
    assert_int_equal(hdr_encode(&a, &text), 0);
    assert_int_equal(strncmp(text, "HISTF", 5), 0);
    assert_true(strlen(text) <= HDR_TEXT_MAX);
    memset(&b, 0x5a, sizeof b);
    assert_int_equal(hdr_decode(text, &b, why, sizeof why), 0);
    assert_same_slots(&a, &b);
    assert_int_equal(hdr_encode(&b, &again), 0);
    assert_string_equal(text, again);
    free(text);
    free(again);
}

static void what_was_recorded_comes_back(void **state)
{
    (void)state;
    hdr_init(&a);
    round_trip();
    assert_int_equal(b.count, 0);
    hdr_record(&a, 0, 1);
    round_trip();
    for (int64_t value = 1; value <= HDR_HIGHEST; value += value / 7 + 1)
        hdr_record(&a, value, (uint64_t)value % 1000 + 1);
    round_trip();
    hdr_record(&a, HDR_HIGHEST, 1);
    hdr_record(&a, 12345, UINT64_C(1) << 60);
    round_trip();
    hdr_record(&a, INT64_MAX, 1); /* clamped: in the last slot */
    round_trip();
    for (unsigned slot = 0; slot < HDR_SLOTS; slot++)
        a.slots[slot] = slot % 2 ? 1 : UINT64_C(1) << 40;
    a.count = HDR_SLOTS / 2 * (1 + (UINT64_C(1) << 40));
    round_trip();
}

static void ends_and_sum_are_as_near_as_slots_tell(void **state)
{
    (void)state;
    char *text;
    hdr_init(&a);
    hdr_record(&a, 4097, 2);
    hdr_record(&a, 1000001, 1);
    assert_int_equal(hdr_encode(&a, &text), 0);
    assert_int_equal(hdr_decode(text, &b, why, sizeof why), 0);
    free(text);
    assert_int_equal(b.min, 4096);
    assert_int_equal(hdr_slot(b.max), hdr_slot(1000001));
    assert_true(b.max > 1000001);
    assert_in_range(b.sum, a.sum - a.sum / 1000, a.sum + a.sum / 1000);
    assert_int_equal(b.clamped, 0);
}

/* ---- bytes --------------------------------------------------------------------------- */

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Another way to base64 than the code under test has: bit by bit. */
static size_t unbase64(const char *text, unsigned char *out)
{
    size_t bits = 0;
    for (; *text && *text != '='; text++) {
        unsigned value = (unsigned)(strchr(letters, *text) - letters);
        for (int bit = 5; bit >= 0; bit--, bits++) {
            if (bits % 8 == 0)
                out[bits / 8] = 0;
            out[bits / 8] =
                (unsigned char)(out[bits / 8] | ((value >> bit & 1) << (7 - bits % 8)));
        }
    }
    return bits / 8;
}

static char *base64(const unsigned char *bytes, size_t len)
{
    char *text = calloc(1, len * 2 + 8);
    assert_non_null(text);
    size_t at = 0;
    for (size_t bits = 0; bits < len * 8; bits += 6) {
        unsigned value = 0;
        for (size_t bit = bits; bit < bits + 6; bit++) {
            unsigned byte = bit < len * 8 ? bytes[bit / 8] : 0;
            value = value << 1 | (byte >> (7 - bit % 8) & 1);
        }
        text[at++] = letters[value];
    }
    while (at % 4)
        text[at++] = '=';
    return text;
}

static void bytes_are_those_of_the_published_format(void **state)
{
    (void)state;
    static const unsigned char expected[] = {
        0x1c, 0x84, 0x93, 0x13,                         /* cookie */
        0,    0,    0,    6,                            /* of the counts */
        0,    0,    0,    0,                            /* normalizing offset */
        0,    0,    0,    3,                            /* digits */
        0,    0,    0,    0,    0,    0,    0,    1,    /* lowest */
        0,    0,    3,    0x46, 0x30, 0xb8, 0xa0, 0x00, /* highest: 3,600,000,000,000 */
        0x3f, 0xf0, 0,    0,    0,    0,    0,    0,    /* 1.0 */
        0x05,                                           /* three noughts: -3 */
        0x02,                                           /* 1 */
        0x80, 0x02,                                     /* 128 */
        0x01,                                           /* one nought */
        0x7e,                                           /* 63 */
    };
    char *text;
    unsigned char packed[256], encoded[256];
    hdr_init(&a);
    hdr_record(&a, 3, 1);
    hdr_record(&a, 4, 128);
    hdr_record(&a, 6, 63);
    assert_int_equal(hdr_encode(&a, &text), 0);
    size_t len = unbase64(text, packed);
    free(text);
    static const unsigned char cookie[] = {0x1c, 0x84, 0x93, 0x14};
    assert_memory_equal(packed, cookie, 4);
    assert_int_equal(packed[4] << 24 | packed[5] << 16 | packed[6] << 8 | packed[7],
                     len - 8);
    uLongf encoded_len = sizeof encoded;
    assert_int_equal(uncompress(encoded, &encoded_len, packed + 8, len - 8), Z_OK);
    assert_int_equal(encoded_len, sizeof expected);
    assert_memory_equal(encoded, expected, sizeof expected);
}

/* ---- what is none -------------------------------------------------------------------- */

/* The text of these bytes behind a head that is right, but for one byte: `at`, `value`. */
static char *encode_bytes(const unsigned char *counts, size_t len, size_t at,
                          unsigned char value)
{
    static unsigned char encoded[1024], packed[2048];
    memset(encoded, 0, sizeof encoded);
    memcpy(encoded, "\x1c\x84\x93\x13", 4);
    encoded[6] = (unsigned char)(len >> 8);
    encoded[7] = (unsigned char)len;
    encoded[15] = 3;
    encoded[23] = 1;
    memcpy(encoded + 24, "\0\0\3\x46\x30\xb8\xa0\0", 8);
    encoded[32] = 0x3f;
    encoded[33] = 0xf0;
    memcpy(encoded + 40, counts, len);
    if (at < sizeof encoded)
        encoded[at] = value;
    uLongf packed_len = sizeof packed - 8;
    assert_int_equal(compress(packed + 8, &packed_len, encoded, 40 + len), Z_OK);
    memcpy(packed, "\x1c\x84\x93\x14\0\0", 6);
    packed[6] = (unsigned char)(packed_len >> 8);
    packed[7] = (unsigned char)packed_len;
    return base64(packed, packed_len + 8);
}

#define AS_IS SIZE_MAX

static void broken_histograms_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *counts;
        size_t len, at;
        unsigned char value;
        const char *why; /* NULL: it is right */
    } rows[] = {
        {"\x02", 1, AS_IS, 0, NULL},
        {"", 0, AS_IS, 0, NULL},
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", 9, AS_IS, 0, NULL}, /* INT64_MAX */
        {"\xff\x8f\x04\x02", 4, AS_IS, 0, "more slots"},             /* -33792, and 1 */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, AS_IS, 0, "more slots"}, /* INT64_MIN */
        {"\x81\x90\x04", 3, AS_IS, 0, "more slots"},                         /* -33793 */
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, AS_IS, 0, "more values"},
        {"\x80", 1, AS_IS, 0, "cut off"},
        {"\x80\x80\x80\x80\x80\x80\x80\x80", 8, AS_IS, 0, "cut off"},
        {"\x02", 1, 0, 0x1d, "not a V2"},
        {"\x02", 1, 7, 2, "length"},
        {"\x02", 1, 11, 1, "shifted"},
        {"\x02", 1, 15, 2, "3 digits"},
        {"\x02", 1, 23, 2, "from 1 ns"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = encode_bytes((const unsigned char *)rows[i].counts, rows[i].len,
                                  rows[i].at, rows[i].value);
        why[0] = '\0';
        int err = hdr_decode(text, &b, why, sizeof why);
        free(text);
        if (rows[i].why ? err != -EINVAL || !strstr(why, rows[i].why) : err != 0)
            fail_msg("row %zu: %d, \"%s\"", i, err, why);
    }
}

static void texts_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "H",
        "HIST",
        "HISTF",
        "====",
        "HISTFAAAAAA=",
        "\xff\xff\xff\xff",
        "HIST====",
        "HISTFAAAABd4nA==",
        "AAAAAAAAAAAAAAAAAAAA",
        "HISTFAAAAA HISTFAAAAA",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        why[0] = '\0';
        assert_int_equal(hdr_decode(texts[i], &b, why, sizeof why), -EINVAL);
        assert_true(why[0] != '\0');
    }
}

static void every_part_cut_off_is_refused(void **state)
{
    (void)state;
    char *text;
    hdr_init(&a);
    for (int64_t value = 1; value < 100000; value += 999)
        hdr_record(&a, value, 3);
    assert_int_equal(hdr_encode(&a, &text), 0);
    for (size_t len = strlen(text); len-- > 0;) {
        text[len] = '\0';
        assert_int_equal(hdr_decode(text, &b, why, sizeof why), -EINVAL);
    }
    free(text);
}

static void a_changed_letter_never_does_harm(void **state)
{
    (void)state;
    char *text;
    hdr_init(&a);
    for (int64_t value = 1; value < 1000000; value += 9999)
        hdr_record(&a, value, 3);
    assert_int_equal(hdr_encode(&a, &text), 0);
    size_t len = strlen(text), refused = 0;
    for (size_t at = 0; at < len; at++) {
        char kept = text[at];
        text[at] = kept == 'A' ? 'B' : 'A';
        int err = hdr_decode(text, &b, why, sizeof why);
        assert_true(err == 0 || err == -EINVAL);
        refused += err != 0;
        text[at] = kept;
    }
    assert_true(refused > len / 2); /* zlib has a checksum */
    free(text);
}

static void a_stream_that_swells_is_refused(void **state)
{
    (void)state;
    enum {
        SWOLLEN = 8 * 1024 * 1024
    };
    unsigned char *noughts = calloc(1, SWOLLEN), *packed = calloc(1, SWOLLEN / 100);
    assert_non_null(noughts);
    assert_non_null(packed);
    uLongf len = SWOLLEN / 100 - 8;
    assert_int_equal(compress(packed + 8, &len, noughts, SWOLLEN), Z_OK);
    memcpy(packed, "\x1c\x84\x93\x14\0", 5);
    packed[5] = (unsigned char)(len >> 16);
    packed[6] = (unsigned char)(len >> 8);
    packed[7] = (unsigned char)len;
    char *text = base64(packed, len + 8);
    assert_int_equal(hdr_decode(text, &b, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "too long"));
    free(text);
    free(noughts);
    free(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(what_was_recorded_comes_back),
        pf_test(ends_and_sum_are_as_near_as_slots_tell),
        pf_test(bytes_are_those_of_the_published_format),
        pf_test(broken_histograms_are_refused),
        pf_test(texts_that_are_none_are_refused),
        pf_test(every_part_cut_off_is_refused),
        pf_test(a_changed_letter_never_does_harm),
        pf_test(a_stream_that_swells_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
