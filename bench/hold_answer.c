#include "bench/hold_answer.h"

#include "bench/tally.h"
#include "http/parser.h"
#include <stdlib.h>
#include <string.h>

struct hold_answer {
    struct pf_http_parser parser;
    bool head_request, begun, head_done;
    size_t len, used; /* of bytes: the head, and what of it was parsed */
    char bytes[PF_HTTP_HEAD_MAX];
};

static void begin(struct hold_answer *answer)
{
    pf__http_parser_start(&answer->parser, PF_HTTP_RESPONSE, answer->head_request);
    answer->head_done = false;
}

struct hold_answer *hold_answer_new(bool head)
{
    struct hold_answer *answer = malloc(sizeof *answer);
    if (!answer)
        return NULL;
    answer->head_request = head;
    answer->begun = false;
    answer->len = answer->used = 0;
    begin(answer);
    return answer;
}

bool hold_answer_begun(const struct hold_answer *answer)
{
    return answer->begun;
}

/* What was parsed and is of no use any more: all but the beginning of a head. */
static void drop_parsed(struct hold_answer *answer)
{
    answer->len -= answer->used;
    memmove(answer->bytes, answer->bytes + answer->used, answer->len);
    answer->used = 0;
}

static int run(struct hold_answer *answer)
{
    struct pf_http_span body;
    for (;;) {
        int step = pf__http_parser_run(&answer->parser, answer->bytes, answer->len,
                                       &answer->used, &body);
        if (step < 0)
            return -TALLY_NOT_HTTP;
        answer->head_done |= step == PF_HTTP_HEAD_DONE;
        if (step == PF_HTTP_DONE && answer->parser.status >= 200)
            return answer->parser.status < 400 ? 1 : -TALLY_STATUS;
        if (step == PF_HTTP_DONE) { /* the final one is to come */
            drop_parsed(answer);
            begin(answer);
        }
        if (step == PF_HTTP_MORE)
            break;
    }
    if (answer->head_done)
        drop_parsed(answer);
    return 0;
}

int hold_answer_take(struct hold_answer *answer, const char *bytes, size_t len)
{
    answer->begun |= len > 0;
    while (len > 0) {
        size_t room = sizeof answer->bytes - answer->len;
        size_t some = len < room ? len : room;
        if (some == 0)
            return -TALLY_NOT_HTTP; /* a head without an end */
        memcpy(answer->bytes + answer->len, bytes, some);
        answer->len += some;
        bytes += some;
        len -= some;
        int end = run(answer);
        if (end)
            return end;
    }
    return 0;
}
