# credence_library(<path> SOURCES ... ALONE ... PUBLIC ... PRIVATE ... TESTS ... TEST_DEPS ...)
# One static library per folder: base/core becomes target credence_base_core, alias credence::base/core would
# not be a legal name, so the alias is credence::base_core. TESTS build one GoogleTest program beside it.
# ALONE are sources whose unnamed namespaces share names with others of the folder, so that no unity build takes them.
# A folder without sources is an interface library (headers only).
function(credence_library path)
  cmake_parse_arguments(ARG "" "" "SOURCES;ALONE;PUBLIC;PRIVATE;TESTS;TEST_DEPS" ${ARGN})
  string(REPLACE "/" "_" name ${path})
  set(target credence_${name})
  if(ARG_SOURCES OR ARG_ALONE)
    add_library(${target} STATIC ${ARG_SOURCES} ${ARG_ALONE})
    set_source_files_properties(${ARG_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} credence_options)
    credence_unity(${target} 12)
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
  credence_unity(${name} 0)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()

# credence_unity(<target> <size>): with CREDENCE_UNITY compiles that many sources as one file, all of them for 0. Most of
# the time from nothing goes into the headers and templates that every source reads and instantiates anew.
function(credence_unity target size)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CREDENCE_UNITY} UNITY_BUILD_BATCH_SIZE ${size})
  if(CREDENCE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC takes what the one file includes for a header, where unnamed namespaces would be a mistake.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
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
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 sees overflows in std::vector::insert and std::string::assign where there are none.
    target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overread)
  endif()
endfunction()
