# shellcheck shell=sh
# Sourced by install, uninstall and test: finds a Python that is new enough and runs the command of that name with it.

here=$(dirname -- "$(readlink -f -- "$0")")

# usable PYTHON MODULES - is it 3.11 or newer, and can it import the modules? (A pyenv shim may exist and not work.)
usable() {
    "$1" -c "import sys${2:+, $2}; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1
}

# Prints the first complete Python, else the first that is merely new enough: the installer then says what it lacks.
find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11; fi
    for modules in 'ensurepip, sqlite3, ssl, venv' ''; do
        for candidate in "$@"; do
            if usable "$candidate" "$modules"; then
                printf '%s\n' "$candidate"
                return 0
            fi
        done
    done
    return 1
}

run_command() {
    if ! python=$(find_python); then
        found=$("${PYTHON:-python3}" --version 2>/dev/null) || found='none that runs'
        printf '%s: Delfin needs Python 3.11 or newer (%s is: %s). Install one (Debian 12, Ubuntu 24.04 or newer: %s) %s\n' \
            "installer/$1" "${PYTHON:-python3}" "$found" 'apt-get install -y python3 python3-venv' \
            'or name one: PYTHON=/path/to/python3.12' >&2
        exit 1
    fi
    exec "$python" -B -I "$here" "$@"
}
