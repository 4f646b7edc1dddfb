// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static paddock.interop.client.Client.bytes;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.client.FourLetterWordMain;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import paddock.interop.Server;

/** The official shell with a script of commands, and the four-letter words. */
class ToolsTest {
    private static Server server;

    @BeforeAll
    static void start() throws Exception {
        server = Server.start("tools", "", "extendedTypesEnabled=true");
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    private static String word(String w) throws Exception {
        return FourLetterWordMain.send4LetterWord("127.0.0.1", server.port, w);
    }

    @Test
    void fourLetterWords() throws Exception {
        try (Client c = Client.open(server)) {
            c.create("/eph", bytes("x"), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            c.exists("/eph", e -> { });
            String id = "0x" + Long.toHexString(c.getSessionId());
            assertEquals("imok", word("ruok").trim());
            assertEquals("rw", word("isro").trim());
            String srvr = word("srvr");
            assertTrue(srvr.startsWith("Zookeeper version: 3."), srvr);
            assertTrue(srvr.contains("Mode: standalone") && srvr.contains("Node count: "), srvr);
            String stat = word("stat");
            assertTrue(stat.contains("Clients:") && stat.contains("/127.0.0.1:"), stat);
            String mntr = word("mntr");
            assertTrue(mntr.contains("zk_server_state\tstandalone"), mntr);
            assertTrue(mntr.contains("zk_ephemerals_count\t"), mntr);
            assertTrue(word("conf").contains("clientPort=" + server.port), "conf");
            assertTrue(word("cons").contains("sid=" + id), "cons");
            assertTrue(word("envi").contains("Environment:"), "envi");
            assertTrue(word("dump").contains(id) && word("dump").contains("/eph"), "dump");
            assertTrue(word("wchs").contains("Total watches:"), "wchs");
        }
    }

    /** Feeds the official shell a script and gives what it printed. */
    private static String shell(String... lines) throws Exception {
        Path in = Files.createTempFile("script", ".txt");
        Path out = Files.createTempFile("shell", ".txt");
        Files.write(in, List.of(lines));
        String cp = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        Process p = new ProcessBuilder("java", "-XX:TieredStopAtLevel=1", "-Dzookeeper.sasl.client=false",
                "-cp", cp, "org.apache.zookeeper.ZooKeeperMain", "-server", server.address())
                .redirectInput(in.toFile()).redirectOutput(out.toFile()).redirectErrorStream(true).start();
        assertTrue(p.waitFor(60, TimeUnit.SECONDS), "shell ends");
        String text = Files.readString(out, StandardCharsets.UTF_8);
        Files.delete(in);
        Files.delete(out);
        return text;
    }

    private static void inOrder(String text, String... wanted) {
        int at = 0;
        for (String w : wanted) {
            int i = text.indexOf(w, at);
            assertTrue(i >= 0, "no <" + w + "> after character " + at + " of:\n" + text);
            at = i + w.length();
        }
    }

    @Test
    void shellScript() throws Exception {
        String out = shell(
                "create /z one",
                "create -s /z/s- x",
                "create -e /z/e x",
                "create -c /z/c",
                "create -t 100000 /z/t x",
                "get -s /z",
                "set -v 0 /z two",
                "set -v 0 /z three",
                "ls -R /z",
                "stat /z/e",
                "getAllChildrenNumber /z",
                "getEphemerals /z",
                "addauth digest ann:a",
                "setAcl /z/c auth::cdrwa",
                "getAcl /z/c",
                "whoami",
                "sync /z",
                "setquota -n 10 /z",
                "listquota /z",
                "delquota -n /z",
                "version",
                "delete /nosuch",
                "deleteall /z",
                "ls /",
                "close",
                "quit");
        inOrder(out,
                "Created /z", "Created /z/s-0000000000", "Created /z/e", "Created /z/c", "Created /z/t",
                "one", "dataVersion = 0", "version No is not valid : /z", "/z/c", "/z/e", "/z/s-0000000000", "/z/t",
                "ephemeralOwner = 0x1", "\n4\n", "[/z/e]", "'digest,'ann", ": cdrwa", "ann", "Sync is OK",
                "quota for /z", "Node does not exist: /nosuch", "[zookeeper]");
    }
}
