# The agents that travel: small static programs, musl instead of glibc, one for each architecture. Each
# has its own compiler, so none of it goes through CMake's own targets. Paths are relative to the
# source folder, so that the same source gives the same bytes wherever it is built.

find_program(MUSTER_MUSL_GCC musl-gcc)
find_program(MUSTER_AARCH64_GCC aarch64-linux-gnu-gcc)
set(MUSTER_AARCH64_SYSROOT ${CMAKE_SOURCE_DIR}/build/sysroot-arm64 CACHE PATH
    "musl and msgpack-c for aarch64, from deploy/agent-sysroot")

set(static_flags -std=c11 -Os -g0 -ffunction-sections -fdata-sections -fno-pie -fno-common
    -fno-asynchronous-unwind-tables -fstack-protector-strong
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
    -Wformat=2 -Wno-format-truncation -Wno-stringop-truncation -Wundef -Wunused-result -Wimplicit-fallthrough
    -D_GNU_SOURCE -DMUSTER_VERSION="${PROJECT_VERSION}" -I.)
if(MUSTER_WERROR)
    list(APPEND static_flags -Werror)
endif()
set(static_link -static -no-pie -s -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=none)

file(GLOB static_sources RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/agent/*.c ${CMAKE_SOURCE_DIR}/agent/core/*.c
    ${CMAKE_SOURCE_DIR}/proto/*.c ${CMAKE_SOURCE_DIR}/common/*.c)

# A folder of links to a few headers, where the folder they lie in has those of another libc, too.
function(muster_link_headers dir)
    file(MAKE_DIRECTORY ${dir})
    foreach(header ${ARGN})
        get_filename_component(name ${header} NAME)
        if(EXISTS ${header} AND NOT EXISTS ${dir}/${name})
            file(CREATE_LINK ${header} ${dir}/${name} SYMBOLIC)
        endif()
    endforeach()
endfunction()

# Compiles and links; the program's path is appended to the list `muster_agents`.
function(muster_static_agent arch msgpack) # then the compiler and its own flags
    set(dir ${CMAKE_CURRENT_BINARY_DIR}/${arch})
    set(compile ${CMAKE_C_COMPILER_LAUNCHER} ${ARGN} -isystem ${dir}/include ${static_flags})
    foreach(source ${static_sources})
        set(object ${dir}/${source}.o)
        get_filename_component(folder ${object} DIRECTORY)
        file(MAKE_DIRECTORY ${folder})
        add_custom_command(OUTPUT ${object}
            COMMAND ${compile} -MD -MF ${object}.d -MT ${object} -c -o ${object} ${source}
            DEPENDS ${CMAKE_SOURCE_DIR}/${source} DEPFILE ${object}.d
            WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} COMMENT "${arch}: ${source}" VERBATIM)
        list(APPEND objects ${object})
    endforeach()
    add_custom_command(OUTPUT ${dir}/muster-agent
        COMMAND ${ARGN} ${static_link} -o ${dir}/muster-agent ${objects} ${msgpack}
        DEPENDS ${objects} ${msgpack} COMMENT "${arch}: muster-agent" COMMAND_EXPAND_LISTS VERBATIM)
    set(muster_agents ${muster_agents} ${dir}/muster-agent PARENT_SCOPE)
endfunction()

function(muster_x86_64_agent)
    find_file(msgpack libmsgpackc.a HINTS ${MSGPACK_LIBDIR} ${MSGPACK_LIBRARY_DIRS}
        PATHS /usr/lib/x86_64-linux-gnu NO_CACHE)
    if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64 OR NOT MUSTER_MUSL_GCC OR NOT msgpack)
        message(STATUS "no agent for x86_64 in the controller: musl-tools or libmsgpackc.a is missing (deploy/deps)")
        return()
    endif()
    muster_link_headers(${CMAKE_CURRENT_BINARY_DIR}/x86_64/include
        ${MSGPACK_INCLUDEDIR}/msgpack.h ${MSGPACK_INCLUDEDIR}/msgpack
        /usr/include/linux /usr/include/asm-generic /usr/include/x86_64-linux-gnu/asm)
    muster_static_agent(x86_64 ${msgpack} ${MUSTER_MUSL_GCC})
    set(muster_agents ${muster_agents} PARENT_SCOPE)
endfunction()

# Debian's specs of musl for arm64 name places of the system; here they are below a folder.
function(muster_aarch64_agent)
    set(root ${MUSTER_AARCH64_SYSROOT})
    set(specs ${root}/usr/lib/aarch64-linux-musl/musl-gcc.specs)
    set(msgpack ${root}/usr/lib/aarch64-linux-gnu/libmsgpackc.a)
    if(NOT MUSTER_AARCH64_GCC OR NOT EXISTS ${specs} OR NOT EXISTS ${msgpack})
        message(STATUS "no agent for aarch64 in the controller: gcc-aarch64-linux-gnu or "
            "${root} is missing (deploy/deps)")
        return()
    endif()
    set(dir ${CMAKE_CURRENT_BINARY_DIR}/aarch64)
    file(READ ${specs} text)
    foreach(folder /usr/lib/aarch64-linux-musl /usr/include/aarch64-linux-musl)
        string(REPLACE ${folder} ${root}${folder} text "${text}")
    endforeach()
    file(CONFIGURE OUTPUT ${dir}/musl-gcc.specs CONTENT "${text}" @ONLY)
    muster_link_headers(${dir}/include ${root}/usr/include/msgpack.h ${root}/usr/include/msgpack
        /usr/aarch64-linux-gnu/include/linux /usr/aarch64-linux-gnu/include/asm-generic
        /usr/aarch64-linux-gnu/include/asm)
    muster_static_agent(aarch64 ${msgpack} ${MUSTER_AARCH64_GCC} -specs ${dir}/musl-gcc.specs)
    set(muster_agents ${muster_agents} PARENT_SCOPE)
endfunction()

muster_x86_64_agent()
muster_aarch64_agent()
add_custom_target(muster-agents ALL DEPENDS ${muster_agents})
set(MUSTER_AGENTS ${muster_agents} PARENT_SCOPE)

# For packages and images: found there by `--agent installed` and by forced commands.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64 AND EXISTS ${MUSTER_MUSL_GCC})
    install(PROGRAMS ${CMAKE_CURRENT_BINARY_DIR}/x86_64/muster-agent
        DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/muster OPTIONAL)
endif()
