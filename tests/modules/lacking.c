/* lacking.c - a module that needs a function which nobody has. */
#include <prefork.h>

int function_that_nobody_has(pf_http_request *request, void *arg);

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = function_that_nobody_has}, {0}};

const struct pf_app prefork_app = {PF_APP, .name = "lacking", .routes = routes};
