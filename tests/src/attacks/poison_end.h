// Takes the name that the request gives, so that the test can look for it, and becomes that poison.
int main(void) {
    read_line();
    const char *wanted = argument("attack");
    prctl(PR_SET_NAME, argument("name"));
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
        if (!strcmp(attacks[i].name, wanted)) return attacks[i].run();
    return 3;
}
