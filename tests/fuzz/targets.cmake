# Fuzz targets: fuzz/fuzz_x.c, one parser each, or one family of them. The ctest "fuzz/x" replays the corpus and mutations of it, with
# any compiler; with the preset `fuzz` (clang) tests/fuzz_x of the build directory is a libFuzzer, and `tools/fuzz` runs it.
#
# hf_fuzz(NAME ROUNDS n [SIDECAR | CLI] [WRAP function...])
#   ROUNDS        mutations that the ctest tries: what takes about half a second without a sanitizer
#   SIDECAR, CLI  sees the headers of the sidecar or of the tool, before those of the same name elsewhere
#   WRAP          functions that the target has its own instead of: __wrap_x
add_library(hf_fuzz_lib OBJECT ${CMAKE_CURRENT_LIST_DIR}/fuzz.c)
target_include_directories(hf_fuzz_lib PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(hf_fuzz_lib PUBLIC hf_test_lib)
add_custom_target(fuzzers)

function(hf_fuzz_program program)
  cmake_parse_arguments(arg "SIDECAR;CLI" "" "WRAP;SOURCES" ${ARGN})
  add_executable(${program} ${arg_SOURCES} $<TARGET_OBJECTS:hf_fuzz_lib>)
  if(arg_SIDECAR)
    target_include_directories(${program} BEFORE PRIVATE ../tools/sidecar ../tools/cli)
    target_link_libraries(${program} PRIVATE hf_sidecar_archive)
  endif()
  if(arg_CLI)
    target_include_directories(${program} BEFORE PRIVATE ../tools/cli)
    target_sources(${program} PRIVATE $<TARGET_OBJECTS:hf_cli>)
  endif()
  target_include_directories(${program} PRIVATE fuzz)
  target_link_libraries(${program} PRIVATE hf_test_lib)
  foreach(function ${arg_WRAP})
    target_link_options(${program} PRIVATE -Wl,--wrap=${function})
  endforeach()
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

function(hf_fuzz name)
  cmake_parse_arguments(arg "" "ROUNDS" "" ${ARGN})
  hf_fuzz_program(replay_${name} ${arg_UNPARSED_ARGUMENTS} SOURCES fuzz/replay.c fuzz/fuzz_${name}.c)
  add_test(NAME fuzz/${name} COMMAND replay_${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name} ${arg_ROUNDS})
  set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 300)
  if(HOLDFAST_SANITIZE MATCHES "fuzzer")
    hf_fuzz_program(fuzz_${name} ${arg_UNPARSED_ARGUMENTS} SOURCES fuzz/fuzz_${name}.c)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers fuzz_${name} replay_${name})
  endif()
endfunction()

hf_fuzz(resp ROUNDS 200000 SIDECAR)
hf_fuzz(journal ROUNDS 100000)
hf_fuzz(segment ROUNDS 5000)
hf_fuzz(lmdb ROUNDS 200000)
hf_fuzz(meta ROUNDS 100000)
hf_fuzz(numbers ROUNDS 200000 SIDECAR)
hf_fuzz(config ROUNDS 3000)
hf_fuzz(settings ROUNDS 1500 SIDECAR)
hf_fuzz(address ROUNDS 200000)
hf_fuzz(import ROUNDS 5000 CLI)
hf_fuzz(patterns ROUNDS 100000 SIDECAR)
hf_fuzz(prefixes ROUNDS 100000)
hf_fuzz(merge_json ROUNDS 50000)
hf_fuzz(log_page ROUNDS 50000)
hf_fuzz(answers ROUNDS 50000 WRAP hf__conn_begin hf__conn_send hf__conn_fail hf__conn_fail_link)
hf_fuzz(commands ROUNDS 200000 SIDECAR)
hf_fuzz(tool ROUNDS 10000 CLI WRAP connect)
hf_fuzz(errand ROUNDS 50000 SIDECAR WRAP uv_fileno getsockopt uv_queue_work cli_run call_later_alone later_reply later_done
        server_post)
hf_fuzz(http ROUNDS 50000 SIDECAR
        WRAP MHD_start_daemon MHD_stop_daemon MHD_lookup_connection_value MHD_get_connection_info
             MHD_basic_auth_get_username_password MHD_free MHD_create_response_from_buffer MHD_add_response_header
             MHD_queue_response MHD_queue_basic_auth_fail_response MHD_destroy_response
             holdfast_status holdfast_conflicts holdfast_parked health_ask metrics_write history_write slow_write
             console_namespaces log_line)
