# One interface target carries the warnings, the hardening and the sanitizers of every target of ours.
add_library(credence_options INTERFACE)

target_compile_options(credence_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual
  -Wformat=2 -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wundef -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 is wrong about two: -Wmissing-field-initializers fires on every designated initialiser that relies on a
  # default, -Wmismatched-new-delete on coroutine frames, whose operator new Asio overloads.
  target_compile_options(credence_options INTERFACE
    -Wduplicated-cond -Wlogical-op -Wsuggest-override -Wno-missing-field-initializers -Wno-mismatched-new-delete)
else()
  target_compile_options(credence_options INTERFACE
    -Wthread-safety -Wunreachable-code -Wextra-semi -Wno-missing-field-initializers)
endif()

# Boost 1.81's awaitable operators and Beast need no separate compilation; keep them out of exceptions we ban.
target_compile_definitions(credence_options INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_DATE_TIME)

if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_options(credence_options INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -ffunction-sections -fdata-sections)
  # Code for starting, and for what hardly happens, stays apart from the rest, whose pages are then fewer.
  target_link_options(credence_options INTERFACE -Wl,-z,relro,-z,now,--gc-sections,-z,keep-text-section-prefix -pie)
endif()

if(CREDENCE_SANITIZE STREQUAL "address")
  target_compile_options(credence_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(credence_options INTERFACE -fsanitize=address,undefined)
elseif(CREDENCE_SANITIZE STREQUAL "thread")
  target_compile_options(credence_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(credence_options INTERFACE -fsanitize=thread)
elseif(CREDENCE_SANITIZE)
  message(FATAL_ERROR "CREDENCE_SANITIZE is address, thread or empty, not '${CREDENCE_SANITIZE}'")
endif()
if(CREDENCE_FUZZ)
  target_compile_options(credence_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  target_link_options(credence_options INTERFACE -fsanitize=address,undefined)
endif()
