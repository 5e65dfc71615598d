# The command: src/cli over the public library, and the hub with the console part of src/os.

file(GLOB cli_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.c)
if(cli_sources)
  add_executable(sluice ${cli_sources})
  target_include_directories(sluice PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(sluice PRIVATE sluice_flags sluice_static sluice_hub PkgConfig::JANSSON)
endif()
