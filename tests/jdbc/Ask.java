// What a Java program does with a database: connects, looks around, asks with parameters, reads in portions,
// gives up in time, and goes on after an error. Prints what it got; `tests/it/pg.rs` knows what that should be.
//
//     java -cp 'jars/*' Ask.java URL USER PASSWORD

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

public class Ask {
    static void say(String what, Object value) {
        System.out.println(what + ": " + value);
    }

    static void look(Connection connection) throws SQLException {
        var meta = connection.getMetaData();
        say("product", meta.getDatabaseProductName());
        try (ResultSet tables = meta.getTables(null, null, "calls%", null)) {
            while (tables.next()) {
                say("table", tables.getString("TABLE_SCHEM") + "." + tables.getString("TABLE_NAME"));
            }
        }
        try (ResultSet columns = meta.getColumns(null, null, "calls_current", "c%")) {
            while (columns.next()) {
                say("column", columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME"));
            }
        }
    }

    // More often than the driver waits before it asks for binary values.
    static void prepare(Connection connection) throws SQLException {
        String sql = "SELECT call_id, started_at, cost, bill_duration_seconds, leg_count FROM calls_current"
            + " WHERE agent_id = ? AND cost > ? ORDER BY call_id";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int time = 0; time < 8; time++) {
                statement.setString(1, "694");
                statement.setBigDecimal(2, new BigDecimal("0.01"));
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next()) {
                        String row = rows.getString(1) + " " + rows.getTimestamp(2).toInstant() + " "
                            + rows.getBigDecimal(3).stripTrailingZeros().toPlainString() + " "
                            + rows.getBigDecimal(4).stripTrailingZeros().toPlainString() + " " + rows.getLong(5);
                        say("prepared " + time, row);
                    }
                }
            }
        }
    }

    static void inPortions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1000);
            long count = 0, sum = 0;
            try (ResultSet rows = statement.executeQuery("SELECT value FROM generate_series(1, 50000)")) {
                while (rows.next()) {
                    count++;
                    sum += rows.getLong(1);
                }
            }
            say("portions", count + " " + sum);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void wrong(Connection connection, String sql, int seconds) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(seconds);
            statement.execute(sql);
            say("answered", sql);
        } catch (SQLException error) {
            say("refused " + error.getSQLState(), error.getMessage().lines().findFirst().orElse(""));
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            look(connection);
            prepare(connection);
            inPortions(connection);
            wrong(connection, "DELETE FROM calls", 0);
            wrong(connection, "SELECT agnt_id FROM calls_current", 0);
            wrong(connection, "SELECT sum(a.value * b.value) FROM generate_series(1, 100000000) a,"
                + " generate_series(1, 100000000) b", 1);
            try (ResultSet row = connection.createStatement().executeQuery("SELECT 40 + 2")) {
                row.next();
                say("after all that", row.getInt(1));
            }
        }
    }
}
