-- The counts of one sale, to be written anew from the log in the same transaction.
DELETE FROM decision_counts WHERE sale_id = $1
