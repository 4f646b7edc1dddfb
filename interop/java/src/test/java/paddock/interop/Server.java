// SPDX-License-Identifier: Apache-2.0
package paddock.interop;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One server process: the command in SUT, run on a zoo.cfg of its own. It can be stopped, killed and
 * started again on the same directory and port.
 */
public final class Server implements AutoCloseable {
    private static final AtomicInteger NEXT_PORT =
            new AtomicInteger(Integer.parseInt(System.getenv("INTEROP_PORT")));
    /** Short, so that sessions of {@code 2 * TICK_MS} expire soon. */
    public static final int TICK_MS = 500;

    public final int port = NEXT_PORT.getAndIncrement();
    private final Path dir;
    private final String flags;
    private Process process;

    private Server(Path dir, String flags) {
        this.dir = dir;
        this.flags = flags;
    }

    /** Starts a server. {@code flags} are -D properties; {@code config} are further lines of zoo.cfg. */
    public static Server start(String name, String flags, String... config) throws Exception {
        Path dir = Files.createTempDirectory(Path.of(System.getenv("INTEROP_OUT")), name + "-");
        Server s = new Server(dir, flags);
        List<String> lines = new ArrayList<>(List.of(
                "tickTime=" + TICK_MS,
                "dataDir=" + dir.resolve("data"),
                "clientPort=" + s.port,
                "maxClientCnxns=0",
                "admin.enableServer=false",
                "4lw.commands.whitelist=*"));
        lines.addAll(Arrays.asList(config));
        Files.write(dir.resolve("zoo.cfg"), lines);
        s.start();
        return s;
    }

    public String address() {
        return "127.0.0.1:" + port;
    }

    public void start() throws Exception {
        List<String> command = new ArrayList<>(Arrays.asList(System.getenv("SUT").trim().split("\\s+")));
        command.add(dir.resolve("zoo.cfg").toString());
        ProcessBuilder b = new ProcessBuilder(command);
        b.environment().put("SERVER_JVMFLAGS", flags);
        File log = dir.resolve("server.log").toFile();
        b.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log));
        process = b.start();
        Wait.until("server on port " + port, () -> {
            if (!process.isAlive()) {
                throw new IllegalStateException("server ended with " + process.exitValue() + ", see " + log);
            }
            try {
                return word("srvr").startsWith("Zookeeper version");
            } catch (IOException e) {
                return false;
            }
        });
    }

    /** Ends the server as an operator does, by SIGTERM, and waits for its end. */
    public void stop() throws InterruptedException {
        process.destroy();
        if (!process.waitFor(30, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
            throw new IllegalStateException("server did not end within 30 s of SIGTERM");
        }
    }

    public void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** The answer to a four-letter word. */
    public String word(String w) throws IOException {
        try (Socket s = new Socket()) {
            s.connect(new InetSocketAddress("127.0.0.1", port), 1000);
            s.setSoTimeout(5000);
            s.getOutputStream().write(w.getBytes(StandardCharsets.US_ASCII));
            InputStream in = s.getInputStream();
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Override
    public void close() throws Exception {
        kill();
    }
}
