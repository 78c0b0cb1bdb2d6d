# Defines hiredis::hiredis and hiredis::ssl (1.2 or newer), from the system or from what tools/setup built.
#
# Include it from the top CMakeLists.txt. Sources write #include <hiredis/hiredis.h> in both cases.

include_guard(DIRECTORY)

set(HOLDFAST_DEPS_DIR "${CMAKE_SOURCE_DIR}/build/deps" CACHE PATH "Where tools/setup put the libraries it built")

find_package(PkgConfig REQUIRED)
pkg_check_modules(HIREDIS_SYSTEM QUIET IMPORTED_TARGET hiredis>=1.2)
pkg_check_modules(HIREDIS_SSL_SYSTEM QUIET IMPORTED_TARGET hiredis_ssl>=1.2)
find_package(OpenSSL REQUIRED)

if(HIREDIS_SYSTEM_FOUND AND HIREDIS_SSL_SYSTEM_FOUND)
  message(STATUS "hiredis: ${HIREDIS_SYSTEM_VERSION} (system)")
  # The pkg-config include path ends in /hiredis; ours is its parent.
  add_library(hiredis::hiredis INTERFACE IMPORTED)
  target_include_directories(hiredis::hiredis INTERFACE "${HIREDIS_SYSTEM_INCLUDEDIR}")
  target_link_libraries(hiredis::hiredis INTERFACE PkgConfig::HIREDIS_SYSTEM)

  add_library(hiredis::ssl INTERFACE IMPORTED)
  target_link_libraries(hiredis::ssl INTERFACE
    PkgConfig::HIREDIS_SSL_SYSTEM hiredis::hiredis OpenSSL::SSL OpenSSL::Crypto)
elseif(EXISTS "${HOLDFAST_DEPS_DIR}/hiredis/version")
  set(hiredis_dir "${HOLDFAST_DEPS_DIR}/hiredis")
  file(STRINGS "${hiredis_dir}/version" hiredis_version LIMIT_COUNT 1)
  message(STATUS "hiredis: ${hiredis_version} (${hiredis_dir})")

  add_library(hiredis::hiredis STATIC IMPORTED)
  set_target_properties(hiredis::hiredis PROPERTIES
    IMPORTED_LOCATION "${hiredis_dir}/lib/libhiredis.a"
    INTERFACE_INCLUDE_DIRECTORIES "${hiredis_dir}/include")

  add_library(hiredis::ssl STATIC IMPORTED)
  set_target_properties(hiredis::ssl PROPERTIES
    IMPORTED_LOCATION "${hiredis_dir}/lib/libhiredis_ssl.a")
  target_link_libraries(hiredis::ssl INTERFACE hiredis::hiredis OpenSSL::SSL OpenSSL::Crypto)
  set(HIREDIS_ARCHIVES "${hiredis_dir}/lib/libhiredis.a" "${hiredis_dir}/lib/libhiredis_ssl.a")
else()
  message(FATAL_ERROR "hiredis 1.2 or newer was not found: run tools/setup, which fetches and builds it.")
endif()
