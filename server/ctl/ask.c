/* ask.c - see ask.h. */
#include "server/ctl/ask.h"

#include "ipc/ask.h"
#include "server/ctl/find.h"

#include <prefork/base.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX = 64 * 1024 * 1024 /* a server says far less */
};

static int cut_line(char *text, size_t len)
{
    if (len == 0)
        return -ENODATA;
    if (strlen(text) != len || strchr(text, '\n') != text + len - 1)
        return -EPROTO;
    text[len - 1] = 0;
    return 0;
}

static int explain(int err, const char *path, char *error)
{
    const char *why = strerror(-err), *then = "";
    int status = PF_EXIT_UNAVAILABLE;
    if (err == -ENOENT || err == -ENOTDIR) {
        why = "no such socket", then = "; is the server running?";
    } else if (err == -ECONNREFUSED) {
        why = "no server listens there", then = "; it was killed, or this is another file";
    } else if (err == -EACCES || err == -EPERM) {
        why = "not yours", then = "; ask as the server's user, or as root";
    } else if (err == -ETIMEDOUT) {
        why = "no answer in time",
        then = "; see whether the server hangs, or use --timeout";
    } else if (err == -ENODATA || err == -ECONNRESET || err == -EPIPE) {
        why = "closed without an answer", then = "; too many clients at a time? try again";
    } else if (err == -ENAMETOOLONG) {
        why = "too long for a socket's path", then = "; use one of 107 bytes at most";
        status = PF_EXIT_USAGE;
    } else if (err == -EPROTO) {
        why = "what came is not one line", then = "; is this a server of prefork?";
        status = PF_EXIT_SOFTWARE;
    } else if (err == -ENOMEM) {
        status = PF_EXIT_SOFTWARE;
    }
    snprintf(error, CTL_ERROR_MAX, "%s: %s%s", path, why, then);
    return status;
}

int ask_server(const char *path, const char *request, int64_t timeout_ns, char **answer,
               char *error)
{
    char *text = NULL;
    size_t len;
    int err = pf__ask(path, request, timeout_ns, ANSWER_MAX, &text, &len);
    if (!err)
        err = cut_line(text, len);
    if (err) {
        free(text);
        return explain(err, path, error);
    }
    *answer = text;
    return PF_EXIT_OK;
}
