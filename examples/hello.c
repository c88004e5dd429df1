/* hello.c - an HTTP server: build/release/examples/hello --workers 4 --bind :8888 */
#include <prefork.h>

static int hello(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, "text/plain", "hello", 5);
}

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = hello}, {0}};

static const struct pf_app app = {PF_APP, .name = "hello", .routes = routes};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
