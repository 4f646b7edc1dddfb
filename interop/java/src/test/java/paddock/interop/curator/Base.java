// SPDX-License-Identifier: Apache-2.0
package paddock.interop.curator;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.utils.CloseableUtils;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.TestInstance;
import paddock.interop.Server;

/** A server for the class, a directory for each test, clients that are closed after it. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class Base {
    static final int WAIT = 20;
    private static final int SESSION_MS = 8000;

    Server server;
    String root;
    private final List<CuratorFramework> clients = new ArrayList<>();
    private ExecutorService pool;

    @BeforeAll
    void startServer() throws Exception {
        server = Server.start("curator", "-Dznode.container.checkIntervalMs=300", "extendedTypesEnabled=true");
    }

    @AfterAll
    void stopServer() throws Exception {
        server.close();
    }

    @BeforeEach
    void prepare(TestInfo info) {
        root = "/" + info.getTestMethod().orElseThrow().getName();
        pool = Executors.newCachedThreadPool();
    }

    @AfterEach
    void closeClients() {
        pool.shutdownNow();
        clients.forEach(CloseableUtils::closeQuietly);
        clients.clear();
    }

    CuratorFramework client() throws Exception {
        return client(SESSION_MS);
    }

    CuratorFramework client(int sessionMs) throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.newClient(
                server.address(), sessionMs, 10_000, new RetryOneTime(200));
        clients.add(c);
        c.start();
        if (!c.blockUntilConnected(30, TimeUnit.SECONDS)) {
            throw new AssertionError("not connected");
        }
        return c;
    }

    <T> Future<T> async(Callable<T> c) {
        return pool.submit(c);
    }
}
