/*
 * fuzz_proxy.c - the first bytes of a connection, whatever they are.
 *
 * A libFuzzer target; test_proxy.c includes it for describe() and replays the corpus.
 */
#include <prefork/base.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Of exactly so many bytes, somewhere else each time. */
static int parse(const char *data, size_t len, struct pf_proxy *out)
{
    char *copy = malloc(len ? len : 1);
    must(copy != NULL);
    memcpy(copy, data, len);
    int result = pf__proxy_parse(copy, len, out);
    free(copy);
    return result;
}

/* "43 192.0.2.1:1 > 192.0.2.2:2": the length and what it says, "-" if nothing; "more";
 * "bad"; "long". */
static void describe(const char *data, size_t len, char *text, size_t size)
{
    struct pf_proxy proxy;
    memset(&proxy, 0xa5, sizeof proxy);
    int result = parse(data, len, &proxy);
    must(result <= PF_PROXY_HEADER_MAX && (result < 0 || (size_t)result <= len));
    if (result <= 0) {
        must(result == 0 || result == -EPROTO || result == -EMSGSIZE);
        snprintf(text, size, "%s", !result ? "more" : result == -EPROTO ? "bad" : "long");
        return;
    }
    char source[PF_ADDRESS_TEXT_MAX] = "-", destination[PF_ADDRESS_TEXT_MAX] = "-";
    if (proxy.is_known) {
        must(proxy.source.len <= sizeof proxy.source.storage);
        must(proxy.source.storage.ss_family == proxy.destination.storage.ss_family);
        pf_address_format(&proxy.source, source);
        pf_address_format(&proxy.destination, destination);
    }
    snprintf(text, size, "%d %s > %s", result, source, destination);
}

/* What is said stays said, whatever follows; before that, more is needed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char whole[2 * PF_ADDRESS_TEXT_MAX + 32], part[sizeof whole];
    const char *in = (const char *)data;
    size_t most = size < 512 ? size : 512;
    describe(in, size, whole, sizeof whole);
    bool decided = false;
    for (size_t len = 0; len <= most; len++) {
        describe(in, len, part, sizeof part);
        must(!decided || strcmp(part, whole) == 0);
        decided |= strcmp(part, "more") != 0;
        must(!decided || strcmp(part, whole) == 0);
    }
    return 0;
}
