/* In the build that measures coverage, _exit(): a child that leaves by it takes along the counts of what it has run. */
_Noreturn void __wrap__exit(int status);
_Noreturn void __real__exit(int status);
void __gcov_dump(void);

_Noreturn void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
