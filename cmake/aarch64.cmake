# Toolchain: Linux on 64-bit Arm, its programs run here by qemu's user mode.
#   cmake -S tests/kernels -B build/aarch64 --toolchain ../../cmake/aarch64.cmake   (kernel test only)
# Debian's packages: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# -L: where the loader and libc of programs that are not static lie.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
