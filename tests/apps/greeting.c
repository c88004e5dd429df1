/*
 * greeting.c - a program with an option of its own, --greeting, that is what it answers,
 * and one that it has in common with the server, --workers, which is not.
 */
#include <prefork.h>

#include <string.h>

static struct config {
    const char *greeting;
    int64_t workers;
} config = {.greeting = "hello", .workers = 0};

static const struct pf_option options[] = {{.name = "greeting",
                                            .letter = 'g',
                                            .type = PF_OPTION_STRING,
                                            .at = offsetof(struct config, greeting),
                                            .argument = "TEXT",
                                            .help = "what is said (hello)"},
                                           {.name = "workers",
                                            .type = PF_OPTION_INT,
                                            .at = offsetof(struct config, workers),
                                            .help = "never meant"},
                                           {0}};

static int greet(pf_http_request *request, void *arg)
{
    (void)arg;
    const char *text = config.workers ? "taken for mine" : config.greeting;
    return pf_http_respond(request, 200, "text/plain", text, strlen(text));
}

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = greet}, {0}};

static const struct pf_app app = {PF_APP, .name = "greeting", .routes = routes,
                                  .options = options, .config = &config};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
