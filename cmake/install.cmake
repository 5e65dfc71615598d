# What `cmake --install` puts where: the header, both libraries, a pkg-config file, the command and
# its man page. Then the tests of what is installed (tests/install).

install(TARGETS sluice_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_BINARY_DIR}/libsluice.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/sluice.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET sluice)
  install(TARGETS sluice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(EXISTS ${CMAKE_SOURCE_DIR}/docs/man/sluice.1)
    install(FILES docs/man/sluice.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
endif()

# The paths in the pkg-config file are relative to where that file lies, so that `cmake --install
# --prefix` and moving the tree keep it right; absolute ones are taken as they are.
set(pc_prefix ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(folder includedir libdir)
  string(TOUPPER ${folder} name)
  set(pc_${folder} "\${prefix}/${CMAKE_INSTALL_${name}}")
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${name}})
    set(pc_${folder} ${CMAKE_INSTALL_${name}})
  endif()
endforeach()
configure_file(cmake/sluice.pc.in ${CMAKE_BINARY_DIR}/sluice.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/sluice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(SLUICE_TESTS)
  add_subdirectory(tests/install)
endif()
