// SPDX-License-Identifier: Apache-2.0

import java.io.File;
import org.apache.zookeeper.server.ServerMetrics;
import org.apache.zookeeper.server.ZKDatabase;
import org.apache.zookeeper.server.persistence.FileTxnSnapLog;

/** Loads each directory with Apache's own classes and prints what it holds. */
public class LoadDir {
    public static void main(String[] dirs) throws Exception {
        for (String dir : dirs) {
            ZKDatabase db = new ZKDatabase(new FileTxnSnapLog(new File(dir), new File(dir)));
            String line;
            try {
                db.loadDataBase();
                line = String.format("zxid=%x digest=%x sessions=%d mismatches=%d", db.getDataTreeLastProcessedZxid(),
                    db.getDataTree().getTreeDigest(), db.getSessionWithTimeOuts().size(),
                    ServerMetrics.getMetrics().DIGEST_MISMATCHES_COUNT.get());
            } catch (Throwable t) {
                line = "refused: " + t;
            }
            System.out.println("LOADED " + new File(dir).getName() + " " + line);
        }
        System.exit(0);
    }
}
