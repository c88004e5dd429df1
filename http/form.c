/*
 * form.c - forms with files, handed over as they come; see pf_http_on_form().
 *
 * Fields are collected where a body would be (body.c), and counted like one; of files
 * nothing is kept here.
 */
#include "http/internal.h"

#include "http/multipart.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* What becomes of the part that comes. */
enum fate {
    PASSED_OVER,
    COLLECTED,
    HANDED_OVER
};

struct pf__http_form {
    struct pf_http_form calls; /* with the defaults filled in */
    void *arg;
    enum fate fate;
    struct pf_http_part part;
    struct pf__multipart multipart;
};

/* ---- fields ---------------------------------------------------------------------- */

/* With room for the NUL. */
static int collect(pf_http_request *request, struct pf__http_form *form,
                   struct pf__text piece)
{
    size_t size = (size_t)form->part.size;
    if (piece.len > form->calls.field_max - size)
        return pf_http_respond_error(request, 413);
    if (!pf__http_body_hold(request, size + piece.len + 1))
        return pf_http_respond_error(request, 503);
    if (piece.len > 0)
        memcpy(request->body_copy + size, piece.at, piece.len);
    request->body_copy[size + piece.len] = '\0';
    form->part.size += piece.len;
    return 0;
}

/* ---- files ----------------------------------------------------------------------- */

static int begin_file(pf_http_request *request, struct pf__http_form *form)
{
    int result = form->calls.on_file(request, &form->part, form->arg);
    if (result >= 0 && request->stage != PF__HTTP_FINISHED)
        form->fate = HANDED_OVER;
    return result;
}

static int end_file(pf_http_request *request, struct pf__http_form *form, int err)
{
    form->fate = PASSED_OVER; /* the call may finish the response, which ends it, too */
    if (!form->calls.on_file_end)
        return err;
    int result = form->calls.on_file_end(request, &form->part, err, form->arg);
    return err ? err : result;
}

static int write_whole(int fd, struct pf__text piece)
{
    while (piece.len > 0) {
        ssize_t n = write(fd, piece.at, piece.len);
        if (n == -1 && errno != EINTR)
            return -errno;
        piece = pf__text_skip(piece, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static int take_file_data(pf_http_request *request, struct pf__http_form *form,
                          struct pf__text piece)
{
    struct pf_http_part *part = &form->part;
    part->size += piece.len;
    if (part->fd >= 0) {
        int err = write_whole(part->fd, piece);
        return err ? end_file(request, form, err) : 0;
    }
    return form->calls.on_data
               ? form->calls.on_data(request, part, piece.at, piece.len, form->arg)
               : 0;
}

/* ---- parts ----------------------------------------------------------------------- */

static int begin_part(pf_http_request *request, struct pf__http_form *form)
{
    const struct pf__multipart *multipart = &form->multipart;
    form->part = (struct pf_http_part){
        .name = multipart->name,
        .filename = multipart->has_filename ? multipart->filename : NULL,
        .content_type = multipart->content_type,
        .fd = -1};
    form->fate = PASSED_OVER;
    if (form->part.filename)
        return form->calls.on_file ? begin_file(request, form) : 0;
    form->fate = form->calls.on_field ? COLLECTED : PASSED_OVER;
    return form->calls.on_field ? collect(request, form, pf__text_of("")) : 0;
}

static int take_data(pf_http_request *request, struct pf__http_form *form,
                     struct pf__text piece)
{
    switch (form->fate) {
    case COLLECTED:
        return collect(request, form, piece);
    case HANDED_OVER:
        return take_file_data(request, form, piece);
    case PASSED_OVER:
        break;
    }
    return 0;
}

static int end_part(pf_http_request *request, struct pf__http_form *form)
{
    switch (form->fate) {
    case COLLECTED:
        return form->calls.on_field(request, &form->part, request->body_copy, form->arg);
    case HANDED_OVER:
        return end_file(request, form, 0);
    case PASSED_OVER:
        break;
    }
    return 0;
}

/* ---- the body -------------------------------------------------------------------- */

static int take_event(pf_http_request *request, struct pf__http_form *form, int event,
                      struct pf__text piece)
{
    if (event < 0)
        return pf_http_respond_error(request, event == -E2BIG ? 413 : 400);
    switch ((enum pf__multipart_event)event) {
    case PF__MULTIPART_PART:
        return begin_part(request, form);
    case PF__MULTIPART_DATA:
        return take_data(request, form, piece);
    case PF__MULTIPART_PART_END:
        return end_part(request, form);
    case PF__MULTIPART_MORE:
    case PF__MULTIPART_DONE:
        break;
    }
    return 0;
}

/* A call may have finished the response, or forked. */
static bool goes_on(const pf_http_request *request)
{
    return request->stage != PF__HTTP_FINISHED && !pf__http_is_inherited(request->server);
}

static int form_on_body(pf_http_request *request, const void *data, size_t len, void *arg)
{
    struct pf__http_form *form = arg;
    int result = 0;
    bool later = false;
    size_t used = 0;
    if (len == 0 && !form->multipart.done)
        return pf_http_respond_error(request, 400);
    if (len == 0)
        return form->calls.on_complete(request, form->arg);
    do {
        struct pf__text piece = {NULL, 0};
        int event = pf__multipart_run(&form->multipart, data, len, &used, &piece);
        result = take_event(request, form, event, piece);
        later |= result == PF_HTTP_LATER;
    } while (result >= 0 && used < len && goes_on(request));
    return result >= 0 && later ? PF_HTTP_LATER : result;
}

/* ---- for the other files --------------------------------------------------------- */

void pf__http_form_end(pf_http_request *request)
{
    if (request->form->fate == HANDED_OVER)
        (void)end_file(request, request->form, -ECANCELED);
}

void pf__http_form_free(struct pf__http_form *form)
{
    if (form->calls.destroy)
        form->calls.destroy(form->arg);
    free(form);
}

/* ---- for handlers ---------------------------------------------------------------- */

static int start(struct pf__http_form *form, pf_http_request *request)
{
    size_t len = 0;
    const char *type = pf_http_get_field(request, "Content-Type", &len);
    int err = pf__multipart_start(&form->multipart, (struct pf__text){type, len},
                                  form->calls.parts_max);
    return err == -EINVAL ? -EBADMSG : err;
}

int pf_http_on_form(pf_http_request *request, const struct pf_http_form *form, void *arg)
{
    int err = pf__http_check(request);
    if (err)
        return err;
    if (!form || !form->on_complete)
        return -EINVAL;
    if (request->form)
        return -EALREADY;
    struct pf__http_form *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->calls = *form;
    made->arg = arg;
    if (!made->calls.parts_max)
        made->calls.parts_max = PF_HTTP_FORM_PARTS_MAX;
    if (!made->calls.field_max)
        made->calls.field_max = PF_HTTP_FORM_FIELD_MAX;
    err = start(made, request);
    if (!err)
        err = pf_http_on_body(request, form_on_body, made);
    if (err)
        free(made);
    else
        request->form = made;
    return err;
}
