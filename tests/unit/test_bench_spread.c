/* How far connections are spread over source addresses. */
#include "tests/lib/test.h"

#include "bench/spread.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static const struct spread_ports kernel = {.low = 32768, .high = 60999, .reuse = 2};

static void sources_are_as_many_as_their_ports_ask_for(void **state)
{
    (void)state;
    static const struct {
        uint64_t connections;
        unsigned sources, fast;
    } rows[] = {{0, 1, 1},     {1, 1, 1},     {14116, 1, 1},  {14117, 1, 2},
                {28232, 1, 2}, {28233, 2, 3}, {100000, 4, 8}, {1000000, 36, 71}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(spread_sources_for(&kernel, rows[i].connections), rows[i].sources);
        assert_int_equal(spread_sources_fast(&kernel, rows[i].connections), rows[i].fast);
    }
}

static void a_rate_has_a_limit_when_ports_rest(void **state)
{
    (void)state;
    static const struct {
        int reuse;
        unsigned sources;
        bool loopback;
        double rate;
    } rows[] = {
        {0, 1, true, 28232.0 / 60},  {0, 60, true, 28232}, {2, 1, true, 28232},
        {2, 1, false, 28232.0 / 60}, {1, 1, false, 28232}, {-1, 1, true, 28232.0 / 60},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct spread_ports ports = kernel;
        ports.reuse = rows[i].reuse;
        double rate = spread_rate_most(&ports, rows[i].sources, rows[i].loopback);
        assert_true(rate > rows[i].rate - 1 && rate < rows[i].rate + 1);
    }
}

static void every_source_is_another_address_that_can_be_bound(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (unsigned n = 0; n < SPREAD_SOURCES_MAX; n++) {
        struct pf_address source;
        struct sockaddr_in in;
        spread_source(n, &source);
        memcpy(&in, &source.storage, sizeof in);
        uint32_t ip = ntohl(in.sin_addr.s_addr);
        assert_true(ip > last && ip >> 24 == 127 && (ip & 255) != 0 && (ip & 255) != 255);
        last = ip;
        assert_true(spread_is_loopback(&source));
        if (n % 1000 != 0)
            continue;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&source.storage, source.len), 0);
        close(fd);
    }
}

static void what_the_machine_allows_can_be_read(void **state)
{
    (void)state;
    struct spread_ports ports;
    spread_read(&ports);
    assert_true(ports.low > 0 && ports.low <= ports.high && ports.high <= 65535);
    assert_true(ports.reuse >= -1 && ports.reuse <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(sources_are_as_many_as_their_ports_ask_for),
        pf_test(a_rate_has_a_limit_when_ports_rest),
        pf_test(every_source_is_another_address_that_can_be_bound),
        pf_test(what_the_machine_allows_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
