/* The same as loaded.c without the library. */
int main(void)
{
    return 0;
}
