# Toolchain: Linux on 64-bit Arm, its programs run here by qemu's user mode.
#
# With build/arm64-sysroot, which tools/setup_arm.sh fills with an arm64 system's headers and
# libraries, everything can be built (-DCMAKE_SYSROOT=DIR names another such folder):
#   cmake --preset arm64
# Without it, what needs no library but C's, from Debian's package libc6-dev-arm64-cross:
#   cmake -S tests/kernels -B build/aarch64 -G Ninja --toolchain $PWD/cmake/aarch64.cmake

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

get_filename_component(sysroot "${CMAKE_CURRENT_LIST_DIR}/../build/arm64-sysroot" ABSOLUTE)
if(NOT CMAKE_SYSROOT AND EXISTS ${sysroot}/complete)
  set(CMAKE_SYSROOT ${sysroot})
endif()
set(root /usr/aarch64-linux-gnu)
if(CMAKE_SYSROOT)
  set(root ${CMAKE_SYSROOT})
endif()

# -L: where the loader and libc of programs that are not static lie.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${root})
set(CMAKE_FIND_ROOT_PATH ${root})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# pkg-config must see the arm64 libraries and none of this machine's.
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_LIBDIR} "${root}/usr/lib/aarch64-linux-gnu/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${root}")
