/* 000_hello_http.c - seed 000, the hello HTTP server of the Tornado notes:
 * AsyncHttpHandler, Application, parse_command_line, HTTPServer.listen(8888),
 * IOLoop.current().start().
 */
#include <prefork.h>

/* class AsyncHttpHandler(RequestHandler): def get(self): self.finish("hello") */
static int get(pf_http_request *request, void *arg)
{
    (void)arg;
    return pf_http_respond(request, 200, "text/html; charset=UTF-8", "hello", 5);
}

static const struct pf_http_resource async_http_handler = {
    .size = sizeof async_http_handler, .get = get};

static const struct pf_http_route handlers[] = {
    {.path = "/", .resource = &async_http_handler}, {0}};

static const struct pf_app application = {PF_APP, .name = "hello", .routes = handlers};

/* The command line, the address (127.0.0.1:8888 unless --bind says another), the loops. */
int main(int argc, char **argv)
{
    return pf_main(argc, argv, &application);
}
