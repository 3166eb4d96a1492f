# credence_library(<path> SOURCES ... PUBLIC ... PRIVATE ... TESTS ... TEST_DEPS ...)
# One static library per folder: base/core becomes target credence_base_core, alias credence::base/core would
# not be a legal name, so the alias is credence::base_core. TESTS build one GoogleTest program beside it.
# A folder without sources is an interface library (headers only).
function(credence_library path)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE;TESTS;TEST_DEPS" ${ARGN})
  string(REPLACE "/" "_" name ${path})
  set(target credence_${name})
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} credence_options)
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${ARG_PUBLIC})
  endif()
  add_library(credence::${name} ALIAS ${target})
  if(ARG_TESTS)
    credence_test(${name}_test SOURCES ${ARG_TESTS} DEPS ${target} ${ARG_PRIVATE} ${ARG_TEST_DEPS})
  endif()
endfunction()

# credence_test(<name> SOURCES ... DEPS ...): a GoogleTest program, registered with CTest as one test.
function(credence_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock_main credence_options)
  # With sanitizers most of the time goes into what every test instantiates anew, so they are one file there.
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${CREDENCE_UNITY_TESTS} UNITY_BUILD_BATCH_SIZE 0)
  if(CREDENCE_UNITY_TESTS AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC takes what the one file includes for a header, where unnamed namespaces would be a mistake.
    target_compile_options(${name} PRIVATE -Wno-subobject-linkage)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# credence_fuzz(<name> SOURCE <file> DEPS ... SEEDS <folder>): a libFuzzer target in the fuzz preset; in every
# other build the same source with a plain main that runs the committed seeds, so each past crash stays tested.
function(credence_fuzz name)
  cmake_parse_arguments(ARG "" "SOURCE;SEEDS" "DEPS" ${ARGN})
  set(target fuzz_${name})
  if(CREDENCE_FUZZ)
    add_executable(${target} ${ARG_SOURCE})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    # All of them, and nothing else.
    if(NOT TARGET fuzz_targets)
      add_custom_target(fuzz_targets)
    endif()
    add_dependencies(fuzz_targets ${target})
    # tests/fuzz/run.py reads where its seeds are.
    file(WRITE ${CMAKE_BINARY_DIR}/seeds/${target} ${ARG_SEEDS})
  else()
    add_executable(${target} ${ARG_SOURCE} ${CMAKE_SOURCE_DIR}/tests/fuzz/run_seeds.cc)
    add_test(NAME ${target}_seeds COMMAND ${target} ${ARG_SEEDS})
    set_tests_properties(${target}_seeds PROPERTIES TIMEOUT 60 LABELS unit)
  endif()
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} credence_options)
endfunction()
