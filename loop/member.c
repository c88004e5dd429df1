/* member.c - see member.h. */
#include "loop/internal.h"

#include <errno.h>

void pf__member_join(struct pf__member *member, pf_loop *loop, pf__gone_fn *on_gone)
{
    *member = (struct pf__member){
        .loop = loop,
        .cookie = loop->cookie,
        .on_gone = on_gone,
        .next = loop->members,
        .at = &loop->members,
    };
    if (member->next)
        member->next->at = &member->next;
    loop->members = member;
}

void pf__member_part(struct pf__member *member)
{
    if (!member->loop)
        return;
    *member->at = member->next;
    if (member->next)
        member->next->at = member->at;
    member->loop = NULL;
}

int pf__member_check(const struct pf__member *member)
{
    if (!pf__process_is(member->cookie))
        return -ECHILD;
    return member->loop ? pf__loop_check(member->loop) : -ESTALE;
}

void pf__members_gone(struct pf__member **first)
{
    while (*first) {
        struct pf__member *member = *first;
        pf__member_part(member);
        member->on_gone(member);
    }
}
