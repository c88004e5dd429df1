#include "tests/lib/test.h"

#include "net/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define WHY_MAX 160

static struct pf_address found[PF_ADDRESSES_MAX];

static int parse(const char *text)
{
    char why[WHY_MAX];
    memset(found, 0xff, sizeof found);
    return pf_address_parse(text, found, why, sizeof why);
}

static void literal_is_one_address_and_formats_as_it_was_written(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "127.0.0.1:80", "0.0.0.0:0",         "255.255.255.255:65535", "[::1]:80",
        "[::]:8888",    "[2001:db8::1]:443", "[fe80::1%1]:80",        "[::ffff:1.2.3.4]:5",
        "10.0.0.1:1",   "[ff02::1:2]:547",   "udp:127.0.0.1:53",      "udp:[::1]:53",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[PF_ADDRESS_TEXT_MAX];
        assert_int_equal(parse(texts[i]), 1);
        pf_address_format(&found[0], text);
        if (strcmp(text, "[fe80::1%lo]:80") == 0) /* interface 1, by name */
            continue;
        assert_string_equal(text, texts[i]);
        assert_int_equal(pf_address_port(&found[0]), atoi(strrchr(texts[i], ':') + 1));
    }
}

static void prefix_says_that_it_is_for_datagrams(void **unused)
{
    (void)unused;
    char text[PF_ADDRESS_TEXT_MAX];
    assert_int_equal(parse("127.0.0.1:53"), 1);
    assert_false(found[0].datagram);
    assert_int_equal(parse("unix:/run/x"), 1);
    assert_false(found[0].datagram);
    assert_int_equal(parse("udp::53"), 2);
    assert_true(found[0].datagram && found[1].datagram);
    assert_string_equal(pf_address_format(&found[1], text), "udp:[::]:53");
}

#define NAME_107                                                                           \
    "/23456789012345678901234567890123456789012345678901234567890"                         \
    "12345678901234567890123456789012345678901234567"

static void unix_socket_has_a_path_or_an_abstract_name(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *path;
        size_t len; /* of the address, beyond the family */
    } rows[] = {
        {"unix:/run/app.sock", "/run/app.sock", 14},
        {"unix:/a", "/a", 3},
        {"unix:/with space/and:80", "/with space/and:80", 19},
        {"unix:" NAME_107, NAME_107, 108},
        {"unix:@name", NULL, 5},
        {"unix:@/x", NULL, 3},
        {"unix:@" NAME_107, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] - 1; i++) {
        char text[PF_ADDRESS_TEXT_MAX];
        assert_int_equal(parse(rows[i].text), 1);
        assert_true(pf_address_is_unix(&found[0]));
        assert_int_equal(found[0].len, sizeof(sa_family_t) + rows[i].len);
        assert_string_equal(pf_address_format(&found[0], text), rows[i].text);
        if (rows[i].path)
            assert_string_equal(pf_address_path(&found[0]), rows[i].path);
        else
            assert_null(pf_address_path(&found[0]));
    }
    assert_int_equal(parse(rows[6].text), -EINVAL);
}

static void peer_without_a_name_and_a_name_of_any_bytes_can_be_written(void **unused)
{
    (void)unused;
    char text[PF_ADDRESS_TEXT_MAX];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct pf_address address = {.len = sizeof(sa_family_t)};
    memcpy(&address.storage, &un, sizeof un);
    assert_string_equal(pf_address_format(&address, text), "unix:");
    assert_null(pf_address_path(&address));
    memcpy(un.sun_path, "\0a\n\0b", 5);
    memcpy(&address.storage, &un, sizeof un);
    address.len = sizeof(sa_family_t) + 5;
    assert_string_equal(pf_address_format(&address, text), "unix:@a??b");
    memset(un.sun_path, 'x',
           sizeof un.sun_path); /* as long as there is room, without NUL */
    memcpy(&address.storage, &un, sizeof un);
    address.len = sizeof un;
    assert_int_equal(strlen(pf_address_format(&address, text)), 5 + sizeof un.sun_path);
}

static void addresses_are_equal_if_they_would_bind_to_the_same(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80", "udp:127.0.0.1:80", "[::1]:80",
        "unix:/a",      "unix:/ab",     "unix:@a",      "unix:@/a",
    };
    struct pf_address one, other;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++) {
            assert_int_equal(parse(texts[i]), 1);
            one = found[0];
            assert_int_equal(parse(texts[j]), 1);
            other = found[0];
            assert_int_equal(pf_address_equal(&one, &other), i == j);
        }
    }
    assert_int_equal(parse("127.0.0.1:0"), 1);
    assert_false(pf_address_equal(&found[0], &found[0]));
}

static void no_host_is_every_interface_of_both_families(void **unused)
{
    (void)unused;
    static const char *const texts[] = {":8888", "*:8888"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[PF_ADDRESS_TEXT_MAX];
        assert_int_equal(parse(texts[i]), 2);
        assert_string_equal(pf_address_format(&found[0], text), "0.0.0.0:8888");
        assert_string_equal(pf_address_format(&found[1], text), "[::]:8888");
        assert_int_equal(found[0].len, sizeof(struct sockaddr_in));
        assert_int_equal(found[1].len, sizeof(struct sockaddr_in6));
    }
}

static void name_is_every_address_it_stands_for(void **unused)
{
    (void)unused;
    pf_test_skip_without_localhost();
    int count = parse("localhost:8080");
    assert_in_range(count, 1, PF_ADDRESSES_MAX);
    for (int i = 0; i < count; i++) {
        char text[PF_ADDRESS_TEXT_MAX];
        assert_int_equal(pf_address_port(&found[i]), 8080);
        pf_address_format(&found[i], text);
        assert_true(strcmp(text, "127.0.0.1:8080") == 0 || strcmp(text, "[::1]:8080") == 0);
        for (int j = 0; j < i; j++)
            assert_true(found[j].len != found[i].len ||
                        memcmp(&found[j].storage, &found[i].storage, found[i].len) != 0);
    }
}

static void wrong_text_is_refused_with_a_reason(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "",
        "80",
        "localhost",
        "127.0.0.1",
        ":",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+80",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "127.0.0.1:0x50",
        "127.0.0.1:http",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:4294967376", /* 80 modulo 2^32 */
        "256.0.0.1:80",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "1:80",
        "....:80",
        "::1:80",
        "::1",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[localhost]:80",
        "[::1]]:80",
        "[[::1]:80",
        "[::g]:80",
        "[::1]x:80",
        "a..b:80",
        "udp:",
        "udp:80",
        "udp:127.0.0.1",
        "udp:unix:/x",
        "unix:",
        "unix:/",
        "unix:@",
        "unix:relative",
        "unix:./relative",
        "unix:80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char why[WHY_MAX] = "";
        int n = pf_address_parse(texts[i], found, why, sizeof why);
        if (n != -EINVAL)
            fail_msg("\"%s\" gave %d", texts[i], n);
        assert_true(strlen(why) > 10);
        /* The phrase must not repeat the text: the caller does. */
        if (strlen(texts[i]) > 7 && strstr(why, texts[i]))
            fail_msg("\"%s\" is repeated in \"%s\"", texts[i], why);
    }
}

static void text_of_any_length_is_refused_not_believed(void **unused)
{
    (void)unused;
    static char text[5000];
    for (size_t len = 300; len < sizeof text - 4; len += 97) {
        memset(text, 'a', len);
        memcpy(text + len, ":80", 4);
        assert_int_equal(parse(text), -EINVAL);
        text[0] = '[';
        assert_int_equal(parse(text), -EINVAL);
        memcpy(text, "unix:/", 6);
        assert_int_equal(parse(text), -EINVAL);
    }
}

static void reason_is_cut_to_the_room_there_is(void **unused)
{
    (void)unused;
    for (size_t room = 1; room < 20; room++) {
        char why[24];
        memset(why, '!', sizeof why);
        assert_int_equal(pf_address_parse("80", found, why, room), -EINVAL);
        assert_int_equal(strlen(why), room - 1);
        assert_int_equal(why[room], '!');
    }
}

static void port_can_be_set(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(parse(texts[i]), 1);
        pf_address_set_port(&found[0], 65535);
        assert_int_equal(pf_address_port(&found[0]), 65535);
    }
}

static void address_of_another_family_has_no_port(void **unused)
{
    (void)unused;
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/x"};
    struct pf_address address = {.len = sizeof un};
    memcpy(&address.storage, &un, sizeof un);
    struct pf_address before = address;
    char text[PF_ADDRESS_TEXT_MAX];
    assert_int_equal(pf_address_port(&address), 0);
    pf_address_set_port(&address, 80);
    assert_memory_equal(&address, &before, sizeof before);
    assert_true(strlen(pf_address_format(&address, text)) > 0);
    address = (struct pf_address){0};
    assert_int_equal(pf_address_port(&address), 0);
    assert_true(strlen(pf_address_format(&address, text)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(literal_is_one_address_and_formats_as_it_was_written),
        pf_test(prefix_says_that_it_is_for_datagrams),
        pf_test(unix_socket_has_a_path_or_an_abstract_name),
        pf_test(peer_without_a_name_and_a_name_of_any_bytes_can_be_written),
        pf_test(addresses_are_equal_if_they_would_bind_to_the_same),
        pf_test(no_host_is_every_interface_of_both_families),
        pf_test(name_is_every_address_it_stands_for),
        pf_test(wrong_text_is_refused_with_a_reason),
        pf_test(text_of_any_length_is_refused_not_believed),
        pf_test(reason_is_cut_to_the_room_there_is),
        pf_test(port_can_be_set),
        pf_test(address_of_another_family_has_no_port),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
