/* Which addresses are this machine's own. */
#include "tests/lib/test.h"

#include "bench/local.h"
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

static void addresses_of_others_are_not_ours(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ours;
    } rows[] = {
        {"127.0.0.1:80", true},
        {"127.99.3.4:80", true},
        {"[::1]:80", true},
        {"0.0.0.0:80", true},
        {"[::]:80", true},
        {"[::ffff:127.0.0.1]:80", true},
        {"unix:/run/x", true},
        {"unix:@x", true},
        {"8.8.8.8:80", false},
        {"192.0.2.1:80", false}, /* RFC 5737: nobody's */
        {"[2001:db8::1]:80", false},
        {"224.0.0.1:80", false},
        {"255.255.255.255:80", false},
        {"[::ffff:8.8.8.8]:80", false},
        {"126.255.255.255:80", false},
        {"128.0.0.1:80", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_address address[PF_ADDRESSES_MAX];
        char why[128];
        assert_int_equal(pf_address_parse(rows[i].text, address, why, sizeof why), 1);
        assert_int_equal(local_is_ours(&address[0]), rows[i].ours);
    }
}

static void those_of_the_interfaces_are(void **state)
{
    (void)state;
    struct ifaddrs *list;
    assert_int_equal(getifaddrs(&list), 0);
    for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
        struct pf_address address = {.len = sizeof(struct sockaddr_in)};
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&address.storage, at->ifa_addr, sizeof(struct sockaddr_in));
        assert_true(local_is_ours(&address));
    }
    freeifaddrs(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(addresses_of_others_are_not_ours),
        pf_test(those_of_the_interfaces_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
