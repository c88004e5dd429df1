/* hanging.c - a module that is never loaded to the end. */
#include <prefork.h>

#include <unistd.h>

__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}

const struct pf_app prefork_app = {PF_APP, .name = "hanging"};
