-- The units of one sale, to be written anew from the log in the same transaction.
DELETE FROM purchases WHERE sale_id = $1
