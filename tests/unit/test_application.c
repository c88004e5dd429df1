/* test_application.c - an application looked at: its size, its facts. */
#include "tests/lib/test.h"

#include "server/application.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    WHY = 256
};

static int answer(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, NULL, NULL, 0);
}

static const struct pf_http_route one_route[] = {
    {.method = "GET", .path = "/", .handler = answer}, {0}};

static void an_application_that_is_smaller_lacks_what_it_has_not(void **state)
{
    (void)state;
    char why[WHY];
    struct pf_app app = {PF_APP, .name = "old", .routes = one_route, .body_max = 7,
                         .column_count = 9};
    app.size = offsetof(struct pf_app, body_max);
    struct pf_app out;
    assert_int_equal(pf__app_take(&app, &out, why, sizeof why), 0);
    assert_string_equal(out.name, "old");
    assert_int_equal(out.body_max, 0);
    assert_int_equal(out.column_count, 0);
    assert_int_equal(out.size, sizeof out);
}

static void sizes_that_are_none_are_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, offsetof(struct pf_app, interface), 4097,
                                   SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char why[WHY] = "";
        struct pf_app app = {PF_APP, .name = "x", .routes = one_route}, out = {.size = 5};
        app.size = sizes[i];
        assert_int_equal(pf__app_take(&app, &out, why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, "PF_APP"));
        assert_int_equal(out.size, 5);
    }
}

static void each_route_has_a_column_of_its_own_however_its_name_is_cut(void **state)
{
    (void)state;
    char why[WHY];
    static const struct pf_http_route routes[] = {
        {.method = "GET", .path = "/a/very/long/path/that/is/cut/a", .handler = answer},
        {.method = "GET", .path = "/a/very/long/path/that/is/cut/b", .handler = answer},
        {.path = "/any", .handler = answer},
        {0}};
    static const struct pf_column own[] = {
        {.name = "hot", .kind = PF_COLUMN_GAUGE, .writer = PF_COLUMN_LANE}};
    const struct pf_app app = {PF_APP, .name = "x", .routes = routes, .columns = own,
                               .column_count = 1};
    struct pf__facts facts;
    assert_int_equal(pf__app_facts(&app, &facts, why, sizeof why), 0);
    assert_true(facts.http);
    assert_int_equal(facts.own_columns, 1);
    assert_int_equal(facts.route_columns, 3);
    assert_string_equal(facts.columns[0].name, "hot");
    assert_int_equal(facts.columns[0].kind, PF_COLUMN_GAUGE);
    assert_string_equal(facts.columns[1].name, "route-0 GET /a/very/long/path/t");
    assert_string_equal(facts.columns[2].name, "route-1 GET /a/very/long/path/t");
    assert_string_equal(facts.columns[3].name, "route-2 * /any");
}

static void routes_for_which_there_is_no_room_are_not_counted(void **state)
{
    (void)state;
    char why[WHY];
    static struct pf_http_route routes[PF_SERVICE_COLUMNS_MAX + 9];
    static char paths[PF_SERVICE_COLUMNS_MAX + 8][16];
    for (size_t i = 0; i < PF_SERVICE_COLUMNS_MAX + 8; i++) {
        snprintf(paths[i], sizeof paths[i], "/%zu", i);
        routes[i] = (struct pf_http_route){.path = paths[i], .handler = answer};
    }
    const struct pf_app app = {PF_APP, .name = "x", .routes = routes};
    struct pf__facts facts;
    assert_int_equal(pf__app_facts(&app, &facts, why, sizeof why), 0);
    assert_int_equal(facts.route_columns, PF_SERVICE_COLUMNS_MAX);
}

static void columns_that_no_lane_can_write_are_refused(void **state)
{
    (void)state;
    static const struct pf_column rows[] = {
        {.name = NULL, .writer = PF_COLUMN_LANE},
        {.name = "a name of thirty-two characters!", .writer = PF_COLUMN_LANE},
        {.name = "masters", .writer = PF_COLUMN_MASTER},
    };
    struct pf__facts facts;
    char why[WHY];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct pf_app app = {PF_APP, .name = "x", .routes = one_route,
                                   .columns = &rows[i], .column_count = 1};
        assert_int_equal(pf__app_facts(&app, &facts, why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, "columns"));
    }
    const struct pf_app many = {PF_APP, .name = "x", .routes = one_route, .columns = rows,
                                .column_count = PF_SERVICE_COLUMNS_MAX + 1};
    assert_int_equal(pf__app_facts(&many, &facts, why, sizeof why), -EINVAL);
    const struct pf_app none = {PF_APP, .name = "x", .routes = one_route,
                                .column_count = 1};
    assert_int_equal(pf__app_facts(&none, &facts, why, sizeof why), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(an_application_that_is_smaller_lacks_what_it_has_not),
        pf_test(sizes_that_are_none_are_refused),
        pf_test(each_route_has_a_column_of_its_own_however_its_name_is_cut),
        pf_test(routes_for_which_there_is_no_room_are_not_counted),
        pf_test(columns_that_no_lane_can_write_are_refused),
    };
    return cmocka_run_group_tests_name("application", tests, NULL, NULL);
}
