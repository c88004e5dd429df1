/* banner.c - see banner.h. */
#include "server/banner.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What makes a URL of an address; of a unix socket nothing does. */
static const char *scheme_of(const struct pf__facts *facts, const char *address)
{
    return facts->http && strncmp(address, "unix:", 5) != 0 ? "http://" : "";
}

static void write_banner(FILE *to, const struct pf_master_status *status,
                         const struct pf__facts *facts)
{
    fprintf(to, "prefork %s serves %s", pf_version(), facts->name);
    for (size_t i = 0; i < status->address_count; i++)
        fprintf(to, "%s %s%s", i ? "," : " on", scheme_of(facts, status->addresses[i]),
                status->addresses[i]);
    fprintf(to, "\n");
    for (unsigned i = 0; i < status->worker_count; i++) {
        fprintf(to, "  worker %-4u ", i);
        if (!status->workers[i].pid) {
            fprintf(to, "does not run; see the log\n");
            continue;
        }
        fprintf(to, "pid %d", status->workers[i].pid);
        if (status->workers[i].cpu >= 0)
            fprintf(to, "  cpu %d\n", status->workers[i].cpu);
        else
            fprintf(to, "  not pinned\n");
    }
    fprintf(to, "  control     %s\n", status->control ? status->control : "none");
    fprintf(to, "  stop        kill %d (finishes what is open), or Ctrl-C (at once)\n",
            status->pid);
}

/* The master must not be held up by whoever does not read what it prints: what does
 * not fit is left out. POLLOUT on a pipe promises PIPE_BUF bytes. */
void pf__banner_print(const struct pf_master_status *status, const struct pf__facts *facts,
                      int fd)
{
    char *text = NULL;
    size_t len = 0, at = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return;
    write_banner(to, status, facts);
    fclose(to);
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    while (at < len && poll(&out, 1, 0) == 1 && (out.revents & POLLOUT)) {
        size_t part = len - at < PIPE_BUF ? len - at : PIPE_BUF;
        ssize_t n = write(fd, text + at, part);
        if (n < 0)
            break;
        at += (size_t)n;
    }
    free(text);
}
