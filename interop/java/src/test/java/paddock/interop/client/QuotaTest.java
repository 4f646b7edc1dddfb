// SPDX-License-Identifier: Apache-2.0
package paddock.interop.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static paddock.interop.client.Client.bytes;
import static paddock.interop.client.Client.fails;

import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Quotas;
import org.apache.zookeeper.StatsTrack;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.cli.DelQuotaCommand;
import org.apache.zookeeper.cli.SetQuotaCommand;
import org.junit.jupiter.api.Test;
import paddock.interop.Server;

/** Quotas as the official tools set them: usage, soft limits, hard limits where they are enforced. */
class QuotaTest {
    private static void limit(Client c, String path, long count, long bytes, long hardCount, long hardBytes)
            throws Exception {
        StatsTrack t = new StatsTrack();
        t.setCount(count);
        t.setBytes(bytes);
        t.setCountHardLimit(hardCount);
        t.setByteHardLimit(hardBytes);
        SetQuotaCommand.createQuota(c, path, t);
    }

    private static StatsTrack usage(Client c, String path) throws Exception {
        return new StatsTrack(c.getData(Quotas.statPath(path), false, null));
    }

    private static void make(Client c, String path, int size) throws Exception {
        c.create(path, new byte[size], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    @Test
    void usageFollowsTheTree() throws Exception {
        try (Server s = Server.start("quota-soft", ""); Client c = Client.open(s)) {
            make(c, "/q", 10);
            make(c, "/q/before", 5);
            limit(c, "/q", 3, 20, -1, -1);
            assertEquals(2, usage(c, "/q").getCount());
            assertEquals(15, usage(c, "/q").getBytes());
            make(c, "/q/a", 100); // past the soft limit of bytes: only a warning
            make(c, "/q/b", 0); // past that of nodes
            c.setData("/q/a", bytes("1234567"), -1);
            assertEquals(4, usage(c, "/q").getCount());
            assertEquals(22, usage(c, "/q").getBytes());
            c.delete("/q/before", -1);
            assertEquals(3, usage(c, "/q").getCount());
            assertEquals(17, usage(c, "/q").getBytes());
            s.kill();
            s.start();
            try (Client d = Client.open(s)) {
                assertEquals(3, usage(d, "/q").getCount());
                assertEquals(17, usage(d, "/q").getBytes());
                StatsTrack none = new StatsTrack();
                none.setCount(1);
                none.setBytes(1);
                DelQuotaCommand.delQuota(d, "/q", none);
            }
        }
    }

    @Test
    void hardLimitsRefuse() throws Exception {
        try (Server s = Server.start("quota-hard", "", "enforceQuota=true"); Client c = Client.open(s)) {
            make(c, "/q", 0);
            make(c, "/free", 0);
            limit(c, "/q", -1, -1, 3, 50);
            make(c, "/q/a", 10);
            make(c, "/q/b", 10);
            fails(Code.QUOTAEXCEEDED, () -> make(c, "/q/c", 0));
            c.delete("/q/b", -1);
            fails(Code.QUOTAEXCEEDED, () -> make(c, "/q/c", 41));
            fails(Code.QUOTAEXCEEDED, () -> c.setData("/q/a", new byte[51], -1));
            c.setData("/q/a", new byte[50], -1);
            make(c, "/free/a", 100);
            assertEquals(2, usage(c, "/q").getCount());
            assertEquals(50, usage(c, "/q").getBytes());
        }
    }
}
