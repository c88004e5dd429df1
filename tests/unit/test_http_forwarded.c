/* test_http_forwarded.c - whose word is believed about who the client is. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "http/forwarded.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static struct pf_address address_of(const char *text)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[200];
    assert_int_equal(pf_address_parse(text, found, why, sizeof why), 1);
    return found[0];
}

static struct pf__networks networks_of(const char *text)
{
    struct pf__networks networks;
    assert_int_equal(pf__networks_parse(pf__text_of(text), NULL, &networks), 0);
    return networks;
}

static void networks_have_their_addresses_and_no_others(void **state)
{
    (void)state;
    static const struct {
        const char *networks, *address;
        bool have;
    } cases[] = {
        {"", "10.0.0.1:1", false},
        {" , ", "10.0.0.1:1", false},
        {"10.0.0.0/8", "10.255.0.1:1", true},
        {"10.0.0.0/8", "11.0.0.1:1", false},
        {"10.0.0.99/8", "10.1.2.3:1", true},
        {"192.0.2.1", "192.0.2.1:1", true},
        {"192.0.2.1", "192.0.2.2:1", false},
        {"192.0.2.128/25", "192.0.2.127:1", false},
        {"192.0.2.128/25", "192.0.2.128:1", true},
        {"192.0.2.4/31", "192.0.2.5:1", true},
        {"192.0.2.4/31", "192.0.2.6:1", false},
        {"0.0.0.0/0", "203.0.113.9:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"::/0", "[2001:db8::1]:1", true},
        {"::/0", "203.0.113.9:1", true}, /* all there is */
        {"::1", "[::1]:1", true},
        {"::1/128", "[::2]:1", false},
        {"2001:db8::/33", "[2001:db8:7fff::1]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
        {"10.0.0.0/8", "[::ffff:10.1.1.1]:1", true},
        {"::ffff:10.0.0.0/104", "10.1.1.1:1", true},
        {"10.0.0.0/8", "[::10.1.1.1]:1", false},
        {"10.0.0.0/8,\t::1 ,192.0.2.1", "192.0.2.1:1", true},
        {"::/0", "unix:/a", false},
        {"unix", "unix:/a", true},
        {"unix", "10.0.0.1:1", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__networks networks = networks_of(cases[i].networks);
        struct pf_address address = address_of(cases[i].address);
        if (pf__networks_have(&networks, &address) != cases[i].have)
            print_error("%s in %s\n", cases[i].address, cases[i].networks);
        assert_int_equal(pf__networks_have(&networks, &address), cases[i].have);
    }
    struct pf_address unnamed = {.len = sizeof(sa_family_t)};
    unnamed.storage.ss_family = AF_UNIX;
    struct pf__networks networks = networks_of("unix");
    assert_true(pf__networks_have(&networks, &unnamed));
}

static void malformed_networks_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "10",           "10.0.0.0/",    "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
        "10.0.0.0/08x", "::1/129",      "::1/0128",    "name",        "10.0.0.1:80",
        "[::1]",        "fe80::1%eth0", "10.0.0.0 /8", "/8",          "10.0.0",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__networks networks = {.count = 99};
        struct pf__text bad = {NULL, 0};
        char list[100];
        snprintf(list, sizeof list, "::1, %s,::2", cases[i]);
        assert_int_equal(pf__networks_parse(pf__text_of(list), &bad, &networks), -EINVAL);
        assert_true(pf__text_equals(bad, pf__text_of(cases[i])));
        assert_int_equal(networks.count, 99);
    }
}

static void there_are_not_more_networks_than_fit(void **state)
{
    (void)state;
    char list[(PF__NETWORKS_MAX + 1) * 4 + 1] = "";
    struct pf__networks networks;
    for (int i = 0; i < PF__NETWORKS_MAX; i++)
        memcpy(list + 4 * i, "::1,", 5);
    assert_int_equal(pf__networks_parse(pf__text_of(list), NULL, &networks), 0);
    assert_int_equal(networks.count, PF__NETWORKS_MAX);
    memcpy(list + 4 * PF__NETWORKS_MAX, "::1", 4);
    assert_int_equal(pf__networks_parse(pf__text_of(list), NULL, &networks), -ENOSPC);
}

static struct pf__text field(const char *text)
{
    return text ? pf__text_of(text) : (struct pf__text){NULL, 0};
}

static void the_client_is_who_trusted_proxies_say(void **state)
{
    (void)state;
#define LONG "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222"
    static const struct {
        const char *peer, *forwarded_for, *real_ip, *scheme, *proto;
        const char *client;
        bool https;
    } cases[] = {
        {"10.0.0.1:1", NULL, NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "192.0.2.7", NULL, NULL, "https", "192.0.2.7", true},
        {"[::1]:1", "2001:db8::7", NULL, "https", NULL, "2001:db8::7", true},
        {"unix:/a", "192.0.2.7", NULL, NULL, NULL, "192.0.2.7", false},
        {"unix:/a", NULL, NULL, NULL, NULL, "unix:/a", false},
        /* A peer that is not trusted. */
        {"192.0.2.9:1", "192.0.2.7", "192.0.2.8", "https", "https", "192.0.2.9", false},
        /* Rightmost, not trusted. */
        {"10.0.0.1:1", "1.1.1.1, 192.0.2.7", NULL, NULL, NULL, "192.0.2.7", false},
        {"10.0.0.1:1", "1.1.1.1,192.0.2.7,10.0.0.2 , 10.0.0.3", NULL, NULL, NULL,
         "192.0.2.7", false},
        {"10.0.0.1:1", "10.0.0.4, 10.0.0.3", NULL, NULL, NULL, "10.0.0.4", false},
        {"10.0.0.1:1", "1.1.1.1|192.0.2.7|10.0.0.3", NULL, NULL, NULL, "192.0.2.7", false},
        {"10.0.0.1:1", ",192.0.2.7,,", NULL, NULL, NULL, "192.0.2.7", false},
        /* What is no address. */
        {"10.0.0.1:1", "", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "unknown", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "192.0.2.7, unknown", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "192.0.2.7, x, 10.0.0.2", NULL, NULL, NULL, "10.0.0.2", false},
        {"10.0.0.1:1", "192.0.2.7\"", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "192.0.2", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "192.0.2.256", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", LONG, NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "fe80::1%eth0", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "[192.0.2.7]", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "[::2", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "[::2]x", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "[::2]:", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "192.0.2.7:x", NULL, NULL, NULL, "10.0.0.1", false},
        {"10.0.0.1:1", "[", NULL, NULL, NULL, "10.0.0.1", false},
        /* With ports and brackets. */
        {"10.0.0.1:1", "192.0.2.7:4711", NULL, NULL, NULL, "192.0.2.7", false},
        {"10.0.0.1:1", "[2001:db8::7]:4711", NULL, NULL, NULL, "2001:db8::7", false},
        {"10.0.0.1:1", "[2001:db8::7]", NULL, NULL, NULL, "2001:db8::7", false},
        {"10.0.0.1:1", "2001:db8::192.0.2.7", NULL, NULL, NULL, "2001:db8::c000:207",
         false},
        /* X-Real-Ip. */
        {"10.0.0.1:1", NULL, " 192.0.2.8 ", NULL, NULL, "192.0.2.8", false},
        {"10.0.0.1:1", "192.0.2.7", "192.0.2.8", NULL, NULL, "192.0.2.8", false},
        {"10.0.0.1:1", "192.0.2.7", "none", NULL, NULL, "192.0.2.7", false},
        {"10.0.0.1:1", "192.0.2.7", "192.0.2.8, 192.0.2.9", NULL, NULL, "192.0.2.7", false},
        /* Schemes. */
        {"10.0.0.1:1", NULL, NULL, "http", "https", "10.0.0.1", false},
        {"10.0.0.1:1", NULL, NULL, NULL, "http, https", "10.0.0.1", true},
        {"10.0.0.1:1", NULL, NULL, NULL, "https, http", "10.0.0.1", false},
        {"10.0.0.1:1", NULL, NULL, NULL, "HTTPS", "10.0.0.1", true},
        {"10.0.0.1:1", NULL, NULL, NULL, "ftp", "10.0.0.1", false},
        {"10.0.0.1:1", NULL, NULL, "", "https", "10.0.0.1", false},
    };
    struct pf__networks trusted = networks_of("10.0.0.0/8, ::1, unix");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pf__text lines[4], rest = field(cases[i].forwarded_for);
        struct pf__forwarded forwarded = {{lines, 0},
                                          field(cases[i].real_ip),
                                          field(cases[i].scheme),
                                          field(cases[i].proto)};
        while (pf__text_split(&rest, '|', &lines[forwarded.x_forwarded_for.count]))
            forwarded.x_forwarded_for.count++;
        struct pf_address peer = address_of(cases[i].peer);
        struct pf__client client;
        char text[PF_ADDRESS_TEXT_MAX];
        pf__forwarded_client(&trusted, &peer, false, &forwarded, &client);
        pf__client_format(&client.address, text);
        if (strcmp(text, cases[i].client) != 0)
            print_error("case %zu\n", i);
        assert_string_equal(text, cases[i].client);
        assert_int_equal(client.https, cases[i].https);
    }
}

static void a_peer_that_spoke_tls_stays_so_unless_told_otherwise(void **state)
{
    (void)state;
    struct pf__networks trusted = networks_of("10.0.0.0/8");
    struct pf__forwarded forwarded = {.x_scheme = {NULL, 0}};
    struct pf_address peer = address_of("10.0.0.1:1");
    struct pf__client client;
    pf__forwarded_client(&trusted, &peer, true, &forwarded, &client);
    assert_true(client.https);
    assert_int_equal(pf_address_port(&client.address), 1);
    forwarded.x_scheme = pf__text_of("http");
    pf__forwarded_client(&trusted, &peer, true, &forwarded, &client);
    assert_false(client.https);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(networks_have_their_addresses_and_no_others),
        pf_test(malformed_networks_are_refused),
        pf_test(there_are_not_more_networks_than_fit),
        pf_test(the_client_is_who_trusted_proxies_say),
        pf_test(a_peer_that_spoke_tls_stays_so_unless_told_otherwise),
    };
    return cmocka_run_group_tests_name("http-forwarded", tests, NULL, NULL);
}
