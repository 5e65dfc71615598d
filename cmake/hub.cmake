# The room of the command that fetches models. It is no part of the library, so that that needs
# neither libcurl nor nettle. libcurl is opened when it is needed: only its header is used here.

pkg_check_modules(CURL IMPORTED_TARGET libcurl>=7.66)
pkg_check_modules(NETTLE IMPORTED_TARGET nettle)
file(GLOB hub_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/hub/*.c
     ${CMAKE_SOURCE_DIR}/src/os/console/*.c)
add_library(sluice_hub STATIC ${hub_sources})
target_include_directories(sluice_hub PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(sluice_hub PUBLIC sluice_flags sluice_rooms ${CMAKE_DL_LIBS})
if(CURL_FOUND AND NETTLE_FOUND)
  target_compile_definitions(sluice_hub PRIVATE SLUICE_CURL)
  target_include_directories(sluice_hub PRIVATE ${CURL_INCLUDE_DIRS})
  target_link_libraries(sluice_hub PUBLIC PkgConfig::NETTLE)
else()
  message(STATUS "libcurl or nettle was not found: `sluice pull` will say so")
endif()
