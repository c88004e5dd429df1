/* prefork_server.c - the program: pf_main() over the built-in applications. */
#include "server/internal.h"

int main(int argc, char **argv)
{
    return pf__main(argc, argv, pf__apps);
}
