# The rooms of src/, built once, then packed as a static and a shared library that show only sl_*.

set(rooms base os cpu quant kernels kernels/ref ops formats tokenizer program models sampling engine)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND rooms kernels/x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  list(APPEND rooms kernels/arm)
endif()
set(sources "")
foreach(room IN LISTS rooms)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${room}/*.c)
  list(APPEND sources ${files})
endforeach()

# One file per instruction-set level; only these are compiled for more than the baseline.
set(avx2_flags -mavx2 -mfma -mf16c)
set(avxvnni_flags ${avx2_flags} -mavxvnni)
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd
                 -mprefer-vector-width=512)
set(avx512vnni_flags ${avx512_flags} -mavx512vnni)
set(avx512bf16_flags ${avx512_flags} -mavx512bf16)
set(dotprod_flags -march=armv8.2-a+dotprod)
set(i8mm_flags -march=armv8.2-a+dotprod+i8mm)
foreach(level avx2 avxvnni avx512 avx512vnni avx512bf16 dotprod i8mm)
  foreach(file IN LISTS sources)
    if(file MATCHES "_${level}\\.c$")
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${${level}_flags}")
    endif()
  endforeach()
endforeach()

# Their unrolled loops take minutes to compile with all sanitizers. Most keep those that find bad
# reads and undefined arithmetic; of packed products, test_kernels puts the operands against forbidden
# pages instead.
if(SLUICE_SANITIZE)
  foreach(file IN LISTS sources)
    if(file MATCHES "/packed_avx[a-z0-9]*\\.c$")
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=all)
    elseif(file MATCHES "/(attention|matmul)[a-z0-9_]*_avx[a-z0-9]*\\.c$|/encode(_avx2)?\\.c$")
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -O1
                                                  -fno-sanitize=fuzzer-no-link,pointer-overflow,null)
    endif()
  endforeach()
endif()

# What every form of the library is linked with.
set(libraries Threads::Threads m PkgConfig::PCRE2 PkgConfig::UTF8PROC
              PkgConfig::JANSSON)
set(private_requirements "libpcre2-8 libutf8proc jansson")
if(URING_FOUND)
  list(APPEND libraries PkgConfig::URING)
  string(APPEND private_requirements " liburing")
endif()

# Compiled once; used three times.
add_library(sluice_objects OBJECT ${sources})
target_include_directories(sluice_objects PUBLIC ${CMAKE_SOURCE_DIR}/src
                                                 ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(sluice_objects PRIVATE SLUICE_VERSION="${PROJECT_VERSION}")
target_link_libraries(sluice_objects PUBLIC sluice_flags ${libraries})
if(URING_FOUND)
  target_compile_definitions(sluice_objects PRIVATE SLUICE_URING)
endif()

# For tests and fuzzers, which look inside; everything else uses libsluice.
add_library(sluice_rooms STATIC $<TARGET_OBJECTS:sluice_objects>)
target_include_directories(sluice_rooms PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(sluice_rooms PUBLIC sluice_flags ${libraries})

add_library(sluice_shared SHARED $<TARGET_OBJECTS:sluice_objects>)
target_link_libraries(sluice_shared PRIVATE sluice_flags ${libraries})
set_target_properties(sluice_shared PROPERTIES OUTPUT_NAME sluice VERSION ${PROJECT_VERSION}
                                               SOVERSION 0 LINKER_LANGUAGE C)

# All objects in one, with the hidden symbols made local, so that the archive shows only sl_*.
set(archive ${CMAKE_BINARY_DIR}/libsluice.a)
add_custom_command(
  OUTPUT ${archive}
  COMMAND ${CMAKE_LINKER} -r -o ${CMAKE_BINARY_DIR}/sluice_all.o --whole-archive
          $<TARGET_FILE:sluice_rooms>
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${CMAKE_BINARY_DIR}/sluice_all.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
  COMMAND ${CMAKE_AR} rcs ${archive} ${CMAKE_BINARY_DIR}/sluice_all.o
  DEPENDS sluice_rooms
  VERBATIM)
add_custom_target(sluice_archive ALL DEPENDS ${archive})
add_library(sluice_static STATIC IMPORTED GLOBAL)
set_target_properties(sluice_static PROPERTIES IMPORTED_LOCATION ${archive})
target_include_directories(sluice_static INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(sluice_static INTERFACE ${libraries})
add_dependencies(sluice_static sluice_archive)
