# tools/setup.sh - finds out which tools and libraries an action lacks, and installs them.
# Sourced by ./dev, which sets $logs. Needs are checked by use, so that what was installed by
# other means than Debian's packages counts too, and nothing touches the network when all is there.

# One need per line: how it is checked, what is looked for, the Debian package that holds it.
needs_build='
tool cmake cmake
tool ninja ninja-build
tool gcc gcc
tool pkg-config pkg-config
header stdio.h libc6-dev
library libpcre2-8 libpcre2-dev
library libutf8proc libutf8proc-dev
library liburing liburing-dev
library jansson libjansson-dev
library libcurl libcurl4-openssl-dev
library nettle nettle-dev'
needs_tests="$needs_build
library cmocka libcmocka-dev
library libssl libssl-dev
tool openssl openssl
tool script bsdutils"
needs_format='
tool clang-format clang-format'
needs_lint="$needs_format
tool mandoc mandoc"
needs_asan="$needs_tests
tool clang clang
tool llvm-symbolizer llvm
runtime clang_rt libclang-rt-MAJOR-dev"
needs_arm="$needs_tests
tool aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
tool qemu-aarch64 qemu-user"
needs_emulator='
tool gcc gcc
header stdio.h libc6-dev
tool python3 python3
module pip python3-pip'
needs_emulated="$needs_tests $needs_emulator"

have() {
    command -v "$1" >/dev/null 2>&1
}

# need_is_met HOW WHAT
need_is_met() {
    case $1 in
    tool) have "$2" ;;
    header) have gcc && printf '#include <%s>\n' "$2" | gcc -E -x c - >/dev/null 2>&1 ;;
    module) have python3 && python3 -c "import $2" >/dev/null 2>&1 ;;
    library) have pkg-config && pkg-config --exists "$2" ;;
    runtime) # An absolute path means that clang found its sanitizer library.
        have clang && case $(clang --print-file-name="lib$2.asan-$(uname -m).a") in
        /*) true ;;
        *) false ;;
        esac ;;
    esac
}

# The major version of clang here, or of the one that apt would install; Debian 12's if unknown.
clang_major() {
    if have clang; then
        clang -dumpversion
    else
        apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p'
    fi | sed -n '1s/^\([0-9]*\).*/\1/p' | grep . || echo 14
}

# Fills $packages and $lacking from the needs given.
setup_find_missing() {
    packages=
    lacking=
    while read -r how what package; do
        [ -n "$how" ] || continue
        need_is_met "$how" "$what" && continue
        lacking="$lacking $what"
        case " $packages " in
        *" $package "*) ;;
        *) packages="$packages $package" ;;
        esac
    done <<END
$1
END
    case $packages in
    *MAJOR*) packages=$(printf '%s' "$packages" | sed "s/MAJOR/$(clang_major)/") ;;
    esac
    packages=${packages# }
    lacking=${lacking# }
}

# Prints the prefix that makes a command run as root ("" or sudo); fails where there is no way.
setup_root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        return 0
    elif have sudo && sudo -n true 2>/dev/null; then
        echo sudo
    elif have sudo && [ -t 0 ] && [ -t 2 ] && [ -z "${CI:-}" ]; then
        echo sudo
    else
        return 1
    fi
}

# --no-remove: a conflict with what is installed here ends with apt's message, not with a removal.
setup_apt() {
    # shellcheck disable=SC2086 # $root is "" or sudo, $packages a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 \
        -o DPkg::Lock::Timeout=300 "$@"
}

setup_install() {
    setup_apt update && setup_apt install -y --no-remove --no-install-recommends $packages
}

# setup NEEDS: returns when every need is met; otherwise ends the script with status 2 (the person
# has to act) or 1 (installing failed).
setup() {
    setup_find_missing "$1"
    [ -n "$lacking" ] || return 0
    if ! have apt-get; then
        say "Missing: $lacking"
        say "Please install them; on Debian they are in the packages $packages"
        exit 2
    fi
    if ! root=$(setup_root_prefix); then
        say "Packages are missing. Type this, then try again:"
        say "sudo apt-get update && sudo apt-get install -y --no-install-recommends $packages"
        exit 2
    fi
    say "Installing $packages"
    mkdir -p "$logs"
    if [ -t 2 ]; then
        setup_install </dev/null >&2 || exit 1
    elif ! setup_install </dev/null >"$logs/setup.log" 2>&1; then
        cat "$logs/setup.log" >&2
        exit 1
    fi
    setup_find_missing "$1"
    [ -z "$lacking" ] && return 0
    say "Still missing after installing: $lacking"
    exit 1
}
